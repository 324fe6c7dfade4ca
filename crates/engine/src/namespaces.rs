//! Namespaces: versioned configuration that every step reads, cached whole.

use crate::failure::Failure;
use crate::rules::Rule;
use ahash::HashMap;
use bytes::Bytes;
use prost::Message as _;
use std::collections::BTreeMap;
use std::sync::{Arc, RwLock};
use steadfast_api::temporal::api::rules::v1::WorkflowRule;
use steadfast_api::v1::common::SearchAttributes;
use steadfast_api::v1::namespace::BadBinaryInfo;
use steadfast_machine::duration::DAY;
use steadfast_machine::{BadAttributes, Namespace, PausingRule, Reject, RuledActivity, Time};
use steadfast_query::{Attribute, AttributeType, Schema, values};
use steadfast_storage::{NamespaceRecord, Store, StoreError};
use uuid::Uuid;

/// A namespace as it is configured now.
#[derive(Clone, Debug, PartialEq)]
pub struct NamespaceState {
    pub id: Uuid,
    pub name: String,
    /// `NamespaceState` of the API.
    pub state: i32,
    pub description: String,
    pub owner: String,
    pub data: BTreeMap<String, String>,
    /// Nanoseconds for which closed runs are kept.
    pub retention: i64,
    pub attributes: BTreeMap<String, AttributeType>,
    /// Builds of workers that are said to be bad, by checksum: kept and shown, without effect, as in the reference.
    pub bad_binaries: BTreeMap<String, BadBinaryInfo>,
    /// Workflow rules by id.
    pub rules: BTreeMap<String, Rule>,
    /// Rises with each change.
    pub version: u64,
}

impl NamespaceState {
    pub fn new(id: Uuid, name: &str) -> NamespaceState {
        NamespaceState {
            id,
            name: name.to_owned(),
            state: steadfast_api::v1::enums::NamespaceState::Registered as i32,
            description: String::new(),
            owner: String::new(),
            data: BTreeMap::new(),
            retention: DAY,
            attributes: BTreeMap::new(),
            bad_binaries: BTreeMap::new(),
            rules: BTreeMap::new(),
            version: 0,
        }
    }

    pub fn is_deleted(&self) -> bool {
        self.state == steadfast_api::v1::enums::NamespaceState::Deleted as i32
    }
}

impl Schema for NamespaceState {
    fn custom(&self, name: &str) -> Option<AttributeType> {
        self.attributes.get(name).copied()
    }
}

impl Namespace for NamespaceState {
    fn id(&self) -> Uuid {
        self.id
    }

    fn name(&self) -> &str {
        &self.name
    }

    fn retention(&self) -> i64 {
        self.retention
    }

    fn check_search_attributes(&self, attributes: &SearchAttributes) -> Result<(), BadAttributes> {
        let fields = &attributes.indexed_fields;
        let sizes = fields.iter().map(|(name, payload)| (name.as_str(), payload.data.len()));
        values::check_sizes(sizes, attributes.encoded_len())
            .map_err(|error| BadAttributes::TooLarge(error.to_string()))?;
        for (name, payload) in fields {
            let predefined = steadfast_query::attribute::find_predefined(name);
            // Those that only the server sets are in merged sets, and were checked when they were set.
            let attribute_type = match predefined {
                Some(predefined) if !predefined.user_may_set => predefined.attribute_type,
                _ => values::settable_type(name, self, &self.name).map_err(|error| {
                    let known = Attribute::built_in(name).is_some() || self.custom(name).is_some();
                    let kind = if known { BadAttributes::Invalid } else { BadAttributes::Unknown };
                    kind(error.to_string())
                })?,
            };
            let encoding = payload.metadata.get("encoding").map(|bytes| bytes.as_ref()).unwrap_or_default();
            values::decode(name, attribute_type, encoding, &payload.data)
                .map_err(|error| BadAttributes::Invalid(error.to_string()))?;
        }
        Ok(())
    }

    fn with_types(&self, mut attributes: SearchAttributes) -> SearchAttributes {
        for (name, payload) in &mut attributes.indexed_fields {
            let known = Attribute::built_in(name).map(|attribute| attribute.attribute_type());
            if let Some(kind) = known.or_else(|| self.custom(name)) {
                payload.metadata.insert("type".into(), Bytes::from_static(kind.name().as_bytes()));
            }
        }
        attributes
    }

    fn pausing_rule(&self, activity: &RuledActivity<'_>, now: Time) -> Option<PausingRule> {
        self.rules.values().find_map(|rule| rule.pause(activity, now))
    }
}

/// The stored form. Field numbers are for ever.
#[derive(Clone, PartialEq, prost::Message)]
struct NamespaceRow {
    #[prost(int32, tag = "1")]
    state: i32,
    #[prost(string, tag = "2")]
    description: String,
    #[prost(string, tag = "3")]
    owner: String,
    #[prost(btree_map = "string, string", tag = "4")]
    data: BTreeMap<String, String>,
    #[prost(int64, tag = "5")]
    retention: i64,
    /// Name to `IndexedValueType`.
    #[prost(btree_map = "string, int32", tag = "6")]
    attributes: BTreeMap<String, i32>,
    #[prost(message, repeated, tag = "7")]
    rules: Vec<WorkflowRule>,
    #[prost(btree_map = "string, message", tag = "8")]
    bad_binaries: BTreeMap<String, BadBinaryInfo>,
}

pub struct Namespaces {
    store: Arc<dyn Store>,
    known: Arc<RwLock<Known>>,
}

#[derive(Default)]
struct Known {
    by_id: HashMap<Uuid, Arc<NamespaceState>>,
    ids: BTreeMap<String, Uuid>,
}

impl Known {
    fn hold(&mut self, state: NamespaceState) {
        if let Some(old) = self.by_id.get(&state.id) {
            self.ids.remove(&old.name);
        }
        self.ids.insert(state.name.clone(), state.id);
        self.by_id.insert(state.id, Arc::new(state));
    }
}

/// The namespace of an entity, as its machine sees it: with those of which only the name is known to it.
pub(crate) struct Among<'a> {
    pub own: &'a NamespaceState,
    pub all: &'a Namespaces,
}

impl Namespace for Among<'_> {
    fn id(&self) -> Uuid {
        self.own.id
    }

    fn name(&self) -> &str {
        &self.own.name
    }

    fn find(&self, name: &str) -> Option<Uuid> {
        self.all.get(name).filter(|found| found.name == name).map(|found| found.id)
    }

    fn retention(&self) -> i64 {
        self.own.retention
    }

    fn check_search_attributes(&self, attributes: &SearchAttributes) -> Result<(), BadAttributes> {
        self.own.check_search_attributes(attributes)
    }

    fn with_types(&self, attributes: SearchAttributes) -> SearchAttributes {
        self.own.with_types(attributes)
    }

    fn pausing_rule(&self, activity: &RuledActivity<'_>, now: Time) -> Option<PausingRule> {
        self.own.pausing_rule(activity, now)
    }
}

impl Namespaces {
    pub(crate) async fn load(store: Arc<dyn Store>) -> Result<Namespaces, StoreError> {
        let mut known = Known::default();
        for record in store.namespaces().await? {
            known.hold(decode(record)?);
        }
        Ok(Namespaces { store, known: Arc::new(RwLock::new(known)) })
    }

    /// By name only: somebody may call one as the id of another is.
    pub fn get(&self, name: &str) -> Option<Arc<NamespaceState>> {
        let known = self.known.read().expect("nothing panics while it holds this");
        known.ids.get(name).and_then(|id| known.by_id.get(id)).cloned()
    }

    pub fn by_id(&self, id: Uuid) -> Option<Arc<NamespaceState>> {
        self.known.read().expect("nothing panics while it holds this").by_id.get(&id).cloned()
    }

    /// All, in the order of their names.
    pub fn list(&self) -> Vec<Arc<NamespaceState>> {
        let known = self.known.read().expect("nothing panics while it holds this");
        known.ids.values().filter_map(|id| known.by_id.get(id).cloned()).collect()
    }

    /// Adds a namespace that does not exist; usable as soon as this returns.
    pub async fn register(&self, mut state: NamespaceState) -> Result<(), Failure> {
        if self.get(&state.name).is_some() {
            return Err(Reject::AlreadyExists("Namespace already exists.".into()).into());
        }
        state.version = 1;
        self.put(state).await
    }

    /// Writes a namespace that was read at `state.version`.
    pub async fn update(&self, mut state: NamespaceState) -> Result<(), Failure> {
        state.version += 1;
        self.put(state).await
    }

    async fn put(&self, state: NamespaceState) -> Result<(), Failure> {
        let is_new = state.version == 1;
        let written = self.to_the_end(async move |store, known| {
            store.put_namespace(encode(&state)).await?;
            known.write().expect("nothing panics while it holds this").hold(state);
            Ok(())
        });
        match written.await {
            Err(StoreError::Conflict(_)) if is_new => {
                Err(Reject::AlreadyExists("Namespace already exists.".into()).into())
            }
            Err(StoreError::Conflict(text)) => Err(Failure::Unavailable(text)),
            written => Ok(written?),
        }
    }

    /// Removes the record; the runs were removed before.
    pub async fn delete(&self, id: Uuid) -> Result<(), Failure> {
        let deleted = self.to_the_end(async move |store, known| {
            store.delete_namespace(id).await?;
            let mut known = known.write().expect("nothing panics while it holds this");
            if let Some(old) = known.by_id.remove(&id) {
                known.ids.remove(&old.name);
            }
            Ok(())
        });
        Ok(deleted.await?)
    }

    /// Changes store and memory alike, also when whoever asked goes away in between. After a failure it is not known
    /// what is stored: what the store has newer than memory is taken over.
    async fn to_the_end<C, F>(&self, change: C) -> Result<(), StoreError>
    where
        C: FnOnce(Arc<dyn Store>, Arc<RwLock<Known>>) -> F + Send + 'static,
        F: Future<Output = Result<(), StoreError>> + Send,
    {
        let (store, known) = (self.store.clone(), self.known.clone());
        let changed = tokio::spawn(async move {
            let changed = change(store.clone(), known.clone()).await;
            if changed.is_err()
                && let Ok(stored) = store.namespaces().await
            {
                let mut known = known.write().expect("nothing panics while it holds this");
                for state in stored.into_iter().filter_map(|record| decode(record).ok()) {
                    if known.by_id.get(&state.id).is_none_or(|held| held.version < state.version) {
                        known.hold(state);
                    }
                }
            }
            changed
        });
        changed.await.unwrap_or_else(|lost| Err(StoreError::Unavailable(lost.to_string())))
    }
}

fn encode(state: &NamespaceState) -> NamespaceRecord {
    let row = NamespaceRow {
        state: state.state,
        description: state.description.clone(),
        owner: state.owner.clone(),
        data: state.data.clone(),
        retention: state.retention,
        attributes: state.attributes.iter().map(|(name, kind)| (name.clone(), kind.to_api())).collect(),
        rules: state.rules.values().map(|rule| rule.rule.clone()).collect(),
        bad_binaries: state.bad_binaries.clone(),
    };
    NamespaceRecord {
        id: state.id,
        name: state.name.clone(),
        version: state.version,
        encoded: Bytes::from(row.encode_to_vec()),
    }
}

fn decode(record: NamespaceRecord) -> Result<NamespaceState, StoreError> {
    let row = NamespaceRow::decode(record.encoded)
        .map_err(|error| StoreError::Corrupt(format!("namespace {}: {error}", record.name)))?;
    let attributes = row
        .attributes
        .into_iter()
        .filter_map(|(name, kind)| AttributeType::from_api(kind).map(|kind| (name, kind)))
        .collect();
    let id = |rule: &WorkflowRule| rule.spec.as_ref().map(|spec| spec.id.clone()).unwrap_or_default();
    let rules = row.rules.into_iter().map(|rule| (id(&rule), Rule::new(rule))).collect();
    Ok(NamespaceState {
        id: record.id,
        name: record.name,
        state: row.state,
        description: row.description,
        owner: row.owner,
        data: row.data,
        retention: row.retention,
        attributes,
        bad_binaries: row.bad_binaries,
        rules,
        version: record.version,
    })
}
