//! The last part of docs/exercise.md: a change of code that running transfers are already past, without a patch and with one.

use exercise_test::{ExerciseSource, Town, TownOptions, wait_until};
use serde_json::Value;
use std::time::Duration;
use steadfast_api::v1::enums::WorkflowTaskFailedCause;
use steadfast_api::v1::history::HistoryEvent;
use steadfast_api::v1::history::history_event::Attributes;

const PATIENCE: Duration = Duration::from_secs(180);
const TURN_BACK: &str = "        // The last moment to turn back.";
const WAIT: &str = "        context.timer(Duration::from_secs(3)).await;\n";
const PATCHED: &str = "        if context.patched(\"wait-before-withdraw\") {
            context.timer(Duration::from_secs(3)).await;
        }
";

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn old_transfers_stop_at_changed_code_and_go_on_with_a_patch() {
    let town = Town::start(TownOptions::default()).await;
    let source = ExerciseSource::copy_into(town.folder());
    // All built beforehand: the longer code does not fit, the longer the server waits with the next try.
    source.repair_workflow();
    let unchanged = source.build("old");
    source.repair_activity();
    source.edit("workflow.rs", TURN_BACK, &format!("{WAIT}{TURN_BACK}"));
    let changed = source.build("changed");
    source.edit("workflow.rs", WAIT, PATCHED);
    let patched = source.build("patched");
    let worker = town.worker(&unchanged);

    // The second mistake keeps them in the withdrawal: they are past the place of the change.
    let old = town.start_batch(3, 3).await;
    for order in &old {
        wait_until("the withdrawal is under way", PATIENCE, async || {
            let pending = town.describe(id(order)).await?.pending_activities;
            let withdraws = |kind: &steadfast_api::v1::common::ActivityType| kind.name == "withdraw";
            let found = pending.iter().any(|activity| activity.activity_type.as_ref().is_some_and(withdraws));
            if found { Ok(()) } else { Err(format!("{pending:?}")) }
        })
        .await;
    }

    worker.stop().expect("the worker runs until it is told to stop");
    let worker = town.worker(&changed);
    for order in &old {
        wait_until("the changed code does not fit", PATIENCE, async || {
            let history = town.history(id(order)).await?;
            if history.iter().any(does_not_fit) { Ok(()) } else { Err(format!("{} events", history.len())) }
        })
        .await;
    }

    town.assert_page_shows(id(&old[0]), &["TMPRL1100", "Nondeterminism"], "changed-code");

    worker.stop().expect("the worker runs until it is told to stop");
    let worker = town.worker(&patched);
    let new = town.start_batch(1, 4).await;
    let orders: Vec<Value> = old.iter().chain(&new).cloned().collect();
    wait_until("all transfers are done", PATIENCE, async || {
        let done = town.list("WorkflowType = 'MoneyTransfer' AND ExecutionStatus = 'Completed'").await?;
        if done.len() == orders.len() { Ok(()) } else { Err(format!("{} of {}", done.len(), orders.len())) }
    })
    .await;
    town.assert_all_booked_once(&orders).await;

    let waited = async |order: &Value| {
        let history = town.history(id(order)).await.expect("the server answers");
        history.iter().any(|event| matches!(event.attributes, Some(Attributes::TimerFiredEventAttributes(_))))
    };
    assert!(waited(&new[0]).await, "a new transfer takes the new path");
    assert!(!waited(&old[0]).await, "an old one stays on the old path");
    let marked =
        town.list("TemporalChangeVersion = 'wait-before-withdraw'").await.expect("the server answers");
    let marked: Vec<&str> = marked
        .iter()
        .filter_map(|info| info.execution.as_ref().map(|execution| execution.workflow_id.as_str()))
        .collect();
    assert_eq!(marked, [id(&new[0])], "only the new one has the patch's marker");
    worker.stop().expect("the worker runs until it is told to stop");
}

fn id(order: &Value) -> &str {
    order["id"].as_str().expect("a transfer has an id")
}

/// The worker has found that its code does not fit the history.
fn does_not_fit(event: &HistoryEvent) -> bool {
    match &event.attributes {
        Some(Attributes::WorkflowTaskFailedEventAttributes(failed)) => {
            failed.cause() == WorkflowTaskFailedCause::NonDeterministicError
        }
        _ => false,
    }
}
