//! What UpdateTaskQueueConfig sets: few queues have any of it, so all of it is in memory.

use bytes::Bytes;
use prost::Message as _;
use std::collections::HashMap;
use std::sync::{Arc, RwLock};
use steadfast_api::v1::taskqueue::{ConfigMetadata, RateLimit, RateLimitConfig, TaskQueueConfig};
use steadfast_machine::{QueueKey, QueueType, Time};
use steadfast_storage::{Store, StoreError};
use tokio::sync::Mutex;
use uuid::Uuid;

/// Under which the store keeps them.
const KIND: &str = "task_queue";

/// A change of a queue's configuration; what is `None` stays.
#[derive(Clone, Debug, Default)]
pub struct ConfigChange {
    pub queue_rate: Option<RateChange>,
    pub fairness_key_rate: Option<RateChange>,
    pub set_weights: HashMap<String, f32>,
    pub unset_weights: Vec<String>,
    pub identity: String,
    pub now: Time,
}

/// A limit that is set, or taken away: then it is still known who did so, and why.
#[derive(Clone, Debug, Default)]
pub struct RateChange {
    /// Tasks a second.
    pub rate: Option<f32>,
    pub reason: String,
}

#[derive(Default)]
pub struct Configs {
    known: RwLock<HashMap<QueueKey, (u64, Arc<TaskQueueConfig>)>>,
    /// One change at a time.
    changing: Mutex<()>,
}

impl Configs {
    pub async fn load(store: &dyn Store) -> Result<Configs, StoreError> {
        let mut known = HashMap::new();
        for (key, version, value) in store.configs(KIND).await? {
            let config = TaskQueueConfig::decode(value).map_err(|error| {
                StoreError::Corrupt(format!("configuration of task queue {key}: {error}"))
            })?;
            let queue = queue_of(&key).ok_or_else(|| StoreError::Corrupt(format!("task queue {key}")))?;
            known.insert(queue, (version, Arc::new(config)));
        }
        Ok(Configs { known: RwLock::new(known), changing: Mutex::default() })
    }

    pub fn get(&self, queue: &QueueKey) -> Option<Arc<TaskQueueConfig>> {
        let known = self.known.read().expect("nothing panics while it holds this");
        known.get(queue).map(|(_, config)| config.clone())
    }

    /// Goes to its end also when whoever asked goes away: memory must know what is stored.
    pub async fn change(
        self: &Arc<Self>,
        store: &Arc<dyn Store>,
        queue: &QueueKey,
        change: ConfigChange,
    ) -> Result<Arc<TaskQueueConfig>, StoreError> {
        let (configs, store, queue) = (self.clone(), store.clone(), queue.clone());
        let changed = tokio::spawn(async move {
            let changed = configs.write(&*store, &queue, change).await;
            if changed.is_err() {
                configs.read_again(&*store, &queue).await;
            }
            changed
        });
        changed.await.unwrap_or_else(|lost| Err(StoreError::Unavailable(lost.to_string())))
    }

    /// After a failure it is not known what is stored.
    async fn read_again(&self, store: &dyn Store, queue: &QueueKey) {
        let _one = self.changing.lock().await;
        let Ok(stored) = store.configs(KIND).await else { return };
        let found = stored.into_iter().find(|(key, ..)| *key == key_of(queue));
        if let Some((_, version, value)) = found
            && let Ok(config) = TaskQueueConfig::decode(value)
        {
            let mut known = self.known.write().expect("nothing panics while it holds this");
            known.insert(queue.clone(), (version, Arc::new(config)));
        }
    }

    async fn write(
        &self,
        store: &dyn Store,
        queue: &QueueKey,
        change: ConfigChange,
    ) -> Result<Arc<TaskQueueConfig>, StoreError> {
        let _one = self.changing.lock().await;
        let (version, old) = {
            let known = self.known.read().expect("nothing panics while it holds this");
            known.get(queue).map(|(version, config)| (*version, config.clone())).unwrap_or_default()
        };
        let config = Arc::new(changed(&old, change));
        let value = Bytes::from(config.encode_to_vec());
        store.put_config(KIND, &key_of(queue), version, Some(value)).await?;
        let mut known = self.known.write().expect("nothing panics while it holds this");
        known.insert(queue.clone(), (version + 1, config.clone()));
        Ok(config)
    }

    pub async fn forget(&self, store: &dyn Store, namespace: Uuid) -> Result<(), StoreError> {
        let _one = self.changing.lock().await;
        let of_namespace: Vec<(QueueKey, u64)> = {
            let known = self.known.read().expect("nothing panics while it holds this");
            let all = known.iter().map(|(queue, (version, _))| (queue.clone(), *version));
            all.filter(|(queue, _)| queue.namespace == namespace).collect()
        };
        for (queue, version) in of_namespace {
            store.put_config(KIND, &key_of(&queue), version, None).await?;
            self.known.write().expect("nothing panics while it holds this").remove(&queue);
        }
        Ok(())
    }
}

fn changed(old: &TaskQueueConfig, change: ConfigChange) -> TaskQueueConfig {
    let mut config = old.clone();
    if let Some(rate) = change.queue_rate {
        config.queue_rate_limit = Some(rate.config(&change.identity, change.now));
    }
    if let Some(rate) = change.fairness_key_rate {
        config.fairness_keys_rate_limit_default = Some(rate.config(&change.identity, change.now));
    }
    for key in &change.unset_weights {
        config.fairness_weight_overrides.remove(key);
    }
    config.fairness_weight_overrides.extend(change.set_weights);
    config
}

impl RateChange {
    fn config(self, identity: &str, now: Time) -> RateLimitConfig {
        RateLimitConfig {
            rate_limit: self.rate.map(|requests_per_second| RateLimit { requests_per_second }),
            metadata: Some(ConfigMetadata {
                reason: self.reason,
                update_identity: identity.to_owned(),
                update_time: Some(now.timestamp()),
            }),
        }
    }
}

fn key_of(queue: &QueueKey) -> String {
    format!("{}/{}/{}", queue.namespace, queue.kind as u8, queue.name)
}

fn queue_of(key: &str) -> Option<QueueKey> {
    let mut parts = key.splitn(3, '/');
    let namespace = Uuid::parse_str(parts.next()?).ok()?;
    let kind = match parts.next()? {
        "1" => QueueType::Workflow,
        "2" => QueueType::Activity,
        "3" => QueueType::Nexus,
        _ => return None,
    };
    Some(QueueKey { namespace, name: parts.next()?.into(), kind })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_queue_is_found_again_by_its_key() {
        for (name, kind) in [("q", QueueType::Workflow), ("a/b", QueueType::Activity), ("", QueueType::Nexus)]
        {
            let queue = QueueKey { namespace: Uuid::from_u128(7), name: name.into(), kind };
            assert_eq!(queue_of(&key_of(&queue)), Some(queue));
        }
        assert_eq!(queue_of("nothing"), None);
    }

    #[test]
    fn a_change_leaves_what_it_does_not_name() {
        let rate = |rate| Some(RateChange { rate, reason: "because".into() });
        let first = ConfigChange {
            queue_rate: rate(Some(5.0)),
            set_weights: [("a".to_owned(), 2.0), ("b".to_owned(), 3.0)].into(),
            identity: "me".into(),
            now: Time(1_000_000_000),
            ..ConfigChange::default()
        };
        let config = changed(&TaskQueueConfig::default(), first);
        let second = ConfigChange {
            fairness_key_rate: rate(Some(2.5)),
            unset_weights: vec!["b".into(), "nobody".into()],
            ..ConfigChange::default()
        };
        let config = changed(&config, second);
        let limit = config.queue_rate_limit.clone().unwrap();
        assert_eq!(limit.rate_limit, Some(RateLimit { requests_per_second: 5.0 }));
        let metadata = limit.metadata.unwrap();
        assert_eq!((metadata.reason.as_str(), metadata.update_identity.as_str()), ("because", "me"));
        assert_eq!(config.fairness_weight_overrides, [("a".to_owned(), 2.0)].into());
        assert!(config.fairness_keys_rate_limit_default.is_some());
        // A limit that is taken away leaves its reason.
        let config = changed(&config, ConfigChange { queue_rate: rate(None), ..ConfigChange::default() });
        let limit = config.queue_rate_limit.unwrap();
        assert_eq!((limit.rate_limit, limit.metadata.unwrap().reason.as_str()), (None, "because"));
    }
}
