//! Which search attributes there are, and which a namespace adds or drops.

use super::namespaces::change;
use crate::call::Call;
use crate::frontend::Frontend;
use crate::status::Refusal;
use steadfast_api::v1::operatorservice::*;
use steadfast_api::v1::workflowservice::{GetSearchAttributesRequest, GetSearchAttributesResponse};
use steadfast_engine::NamespaceState;
use steadfast_machine::Reject;
use steadfast_query::AttributeType;
use steadfast_query::attribute::{built_in, is_reserved};
use uuid::Uuid;

pub async fn get_search_attributes(
    frontend: &Frontend,
    _: Call,
    _: GetSearchAttributesRequest,
) -> Result<GetSearchAttributesResponse, Refusal> {
    let mut keys: std::collections::HashMap<String, i32> =
        built_in().map(|(name, kind)| (name.to_owned(), kind.to_api())).collect();
    for namespace in frontend.engine.namespaces().list() {
        keys.extend(namespace.attributes.iter().map(|(name, kind)| (name.clone(), kind.to_api())));
    }
    Ok(GetSearchAttributesResponse { keys })
}

pub async fn list_search_attributes(
    frontend: &Frontend,
    _: Call,
    request: ListSearchAttributesRequest,
) -> Result<ListSearchAttributesResponse, Refusal> {
    let namespace = named(frontend, &request.namespace)?;
    Ok(ListSearchAttributesResponse {
        custom_attributes: namespace
            .attributes
            .iter()
            .map(|(name, kind)| (name.clone(), kind.to_api()))
            .collect(),
        system_attributes: built_in().map(|(name, kind)| (name.to_owned(), kind.to_api())).collect(),
        storage_schema: Default::default(),
    })
}

/// Adding one that is there already changes nothing, whatever its type: the reference does the same.
pub async fn add_search_attributes(
    frontend: &Frontend,
    _: Call,
    request: AddSearchAttributesRequest,
) -> Result<AddSearchAttributesResponse, Refusal> {
    let namespace = named(frontend, &request.namespace)?;
    if request.search_attributes.is_empty() {
        return Err(Reject::invalid("SearchAttributes are not set on request.").into());
    }
    let mut added = Vec::with_capacity(request.search_attributes.len());
    for (name, number) in request.search_attributes {
        if is_reserved(&name) {
            return Err(Reject::invalid(format!("Search attribute {name} is reserved by system.")).into());
        }
        let kind = AttributeType::from_api(number)
            .ok_or_else(|| Reject::invalid(format!("Unknown search attribute type: {number}.")))?;
        added.push((name, kind));
    }
    let _one = frontend.attribute_changes.lock().await;
    make_room(frontend, &namespace, added.iter().map(|(name, _)| name.as_str())).await?;
    change(&frontend.engine, namespace.id, |namespace| {
        for (name, kind) in &added {
            namespace.attributes.entry(name.clone()).or_insert(*kind);
        }
        Ok(())
    })
    .await?;
    Ok(AddSearchAttributesResponse {})
}

pub async fn remove_search_attributes(
    frontend: &Frontend,
    _: Call,
    request: RemoveSearchAttributesRequest,
) -> Result<RemoveSearchAttributesResponse, Refusal> {
    let namespace = named(frontend, &request.namespace)?;
    if request.search_attributes.is_empty() {
        return Err(Reject::invalid("SearchAttributes are not set on request.").into());
    }
    if let Some(name) = request.search_attributes.iter().find(|name| is_reserved(name)) {
        return Err(Reject::invalid(format!("Unable to remove non-custom search attributes: {name}.")).into());
    }
    let _one = frontend.attribute_changes.lock().await;
    let known = |name: &&String| namespace.attributes.contains_key(*name);
    for name in request.search_attributes.iter().filter(known) {
        change(&frontend.engine, namespace.id, |namespace| {
            namespace.attributes.remove(name);
            Ok(())
        })
        .await?;
        wipe(frontend, namespace.id, name).await?;
    }
    Ok(RemoveSearchAttributesResponse {})
}

/// The values of an attribute that is removed go too, so that one of the same name and another type begins empty.
pub(super) async fn wipe(frontend: &Frontend, namespace: Uuid, name: &str) -> Result<(), Refusal> {
    let wiped = frontend.engine.store().delete_search_attribute(namespace, name).await;
    Ok(wiped.map_err(steadfast_engine::Failure::from)?)
}

/// What a removal that was cut off has left of attributes that are to be added goes first.
pub(super) async fn make_room(
    frontend: &Frontend,
    namespace: &NamespaceState,
    names: impl Iterator<Item = &str>,
) -> Result<(), Refusal> {
    for name in names.filter(|name| !name.is_empty() && !namespace.attributes.contains_key(*name)) {
        wipe(frontend, namespace.id, name).await?;
    }
    Ok(())
}

fn named(
    frontend: &Frontend,
    name: &str,
) -> Result<std::sync::Arc<steadfast_engine::NamespaceState>, Refusal> {
    if name.is_empty() {
        return Err(Reject::invalid("Namespace is not set on request.").into());
    }
    frontend.namespace(name)
}
