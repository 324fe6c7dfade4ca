//! What a decision needs beside the runs themselves (`steadfast_machine::workflow::Needs`): events, histories, and which
//! branches are in use. From memory where it is there, as the transaction sees it.

use crate::Engine;
use crate::entity::{Entity, decoded};
use crate::failure::Failure;
use crate::transaction::Transaction;
use prost::Message as _;
use std::collections::BTreeMap;
use steadfast_api::v1::history::History;
use steadfast_machine::env::Fetched;
use steadfast_machine::workflow::{self, Needs, continued_as};
use steadfast_machine::{AnyRun, AnyRuns, EntityKey};
use uuid::Uuid;

impl Engine {
    /// History that a decision needs, from memory where it is there.
    pub(crate) async fn fetch(
        &self,
        key: &EntityKey,
        entity: &Entity,
        transaction: &Transaction,
        runs: AnyRuns<'_>,
        needs: &Needs,
    ) -> Result<Fetched, Failure> {
        let mut fetched = Fetched::default();
        let find = |id: Uuid| runs.current.into_iter().chain(runs.named).find(|run| run.id() == id);
        for (id, event_id) in &needs.events {
            let held = transaction
                .event(*id, *event_id)
                .or_else(|| entity.runs.get(id).and_then(|loaded| loaded.tail.event(*event_id)));
            let event = match (held, find(*id)) {
                (Some(event), _) => Some(event),
                (None, Some(run)) => self.read_event(&parts_of(run), *event_id).await?,
                (None, None) => None,
            };
            if let Some(event) = event {
                fetched.events.insert((*id, *event_id), event);
            }
        }
        if needs.branches {
            fetched.branches = self.branches_of(key, transaction).await?;
        }
        let mut chain = needs.chain;
        while let Some(id) = chain.take() {
            let parts = match transaction.run(entity, id) {
                Some(run) => parts_of(run),
                None => match self.inner.store.load_run(&key.run(id)).await? {
                    Some(stored) => parts_of(&decoded(key, &stored)?),
                    None => break,
                },
            };
            let mut batches = self.read_batches(&parts, 1, i64::MAX).await?;
            if let Some(changed) = transaction.runs.get(&id) {
                batches.extend(changed.batches.iter().cloned());
            }
            let history =
                batches.iter().map(|batch| History::decode(batch.encoded.clone()).map(|h| h.events));
            let history = history
                .collect::<Result<Vec<_>, _>>()
                .map_err(|error| Failure::Unavailable(format!("history does not decode: {error}")))?;
            chain = continued_as(&history).filter(|next| !fetched.histories.contains_key(next));
            fetched.histories.insert(id, history);
        }
        Ok(fetched)
    }

    /// From which branches the runs of an entity read their histories, as this transaction sees them.
    async fn branches_of(
        &self,
        key: &EntityKey,
        transaction: &Transaction,
    ) -> Result<BTreeMap<Uuid, Vec<Uuid>>, Failure> {
        let mut branches = BTreeMap::new();
        for (run, core) in self.inner.store.cores(key).await? {
            let run = AnyRun::decode(key.kind, run, &core, &[])
                .map_err(|bad| Failure::Unavailable(format!("run {run}: {}", bad.0)))?;
            branches.extend(run.workflow().map(|run| (run.id, workflow::branches(run))));
        }
        for (id, changed) in &transaction.runs {
            match changed.run.as_ref().and_then(AnyRun::workflow) {
                Some(run) => branches.insert(*id, workflow::branches(run)),
                None => branches.remove(id),
            };
        }
        Ok(branches)
    }
}

fn parts_of(run: &AnyRun) -> Vec<(Uuid, i64)> {
    run.workflow().map(|run| run.history_parts()).unwrap_or_default()
}
