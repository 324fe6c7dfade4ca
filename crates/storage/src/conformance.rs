//! The suite that holds every store to every promise of the trait.
//!
//! A store's crate implements [`Fixture`] and calls [`conformance_suite!`](crate::conformance_suite) in a test: every
//! promise becomes a test of its own. What only some stores can do (damaged rows, full disks, second processes) is
//! tested beside those stores.

pub mod configuration;
pub mod crash;
pub mod history;
pub mod runs;
pub mod tasks;
pub mod visibility;
pub mod world;

pub use world::{Fixture, World};

/// Makes one test of every promise. The argument is an expression that gives a new [`Fixture`](conformance::Fixture)
/// with an empty database.
#[macro_export]
macro_rules! conformance_suite {
    ($fixture:expr) => {
        $crate::conformance_suite!(@tests $fixture,
            runs: [
                a_run_is_read_back_whole,
                rows_are_replaced_and_deleted,
                the_latest_run_has_the_highest_id,
                the_cores_of_an_entity_are_those_of_its_runs,
                entities_with_similar_keys_do_not_mix,
                a_deleted_run_is_gone_and_its_neighbours_are_not,
                a_commit_is_all_or_nothing,
                a_refused_commit_does_not_hurt_the_others,
                commits_of_one_caller_keep_their_order,
                commits_at_the_same_time_are_all_kept,
                large_values_are_kept,
                an_old_epoch_is_fenced_whole,
                a_shard_that_does_not_exist_takes_nothing,
            ],
            history: [
                pages_are_contiguous,
                pages_backwards,
                a_batch_around_the_start_is_included,
                a_fork_reads_its_ancestors,
                stored_events_are_not_overwritten,
                a_dropped_branch_is_gone,
            ],
            tasks: [
                a_backlog_has_an_order_and_pages,
                a_task_is_read_back_whole,
                finished_tasks_are_gone_and_backlogs_are_counted,
                messages_have_an_order_and_pages,
                alarms_come_earliest_first,
            ],
            visibility: [
                a_list_sees_what_was_acknowledged,
                a_page_of_large_rows_is_short,
                lists_have_an_order_and_pages,
                queries_agree_with_the_memory_store,
                counts_by_status_follow_every_change,
                divisions_are_counted_apart,
                closed_runs_expire_oldest_first,
                a_search_attribute_can_be_wiped,
            ],
            configuration: [
                namespaces_have_versions_and_names_of_their_own,
                configs_have_versions,
            ],
            crash: [
                what_was_acknowledged_survives_a_crash,
                what_was_acknowledged_survives_a_close,
                epochs_survive_and_old_writers_stay_fenced,
                the_database_keeps_its_identity,
                a_closed_store_refuses,
            ],
        );
    };
    (@tests $fixture:expr, $($module:ident: [$($name:ident),* $(,)?]),* $(,)?) => {
        $($(
            #[tokio::test]
            async fn $name() {
                $crate::conformance::$module::$name($crate::conformance::World::new($fixture).await).await;
            }
        )*)*
    };
}

#[cfg(test)]
mod memory {
    use super::Fixture;
    use crate::memory::MemoryStore;
    use async_trait::async_trait;
    use std::sync::Arc;
    use uuid::Uuid;

    /// A memory store outlives its handles here, as the file of another store does.
    struct Handles(MemoryStore);

    #[async_trait]
    impl Fixture for Handles {
        type Store = MemoryStore;

        async fn open(&mut self) -> MemoryStore {
            self.0.reopen()
        }

        async fn crash(&mut self, store: Arc<MemoryStore>) {
            drop(store);
        }
    }

    crate::conformance_suite!(Handles(MemoryStore::new(4, Uuid::from_u128(7))));
}
