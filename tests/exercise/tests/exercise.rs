//! The exercise of docs/exercise.md, done as a learner does it: twenty transfers, two mistakes, two repairs.

use exercise_test::{ExerciseSource, Town, TownOptions, wait_until};
use serde_json::Value;
use std::time::Duration;
use steadfast_api::v1::enums::WorkflowExecutionStatus;
use steadfast_api::v1::failure::Failure;
use steadfast_api::v1::history::history_event::Attributes;

/// A workflow task that fails is given out again after its timeout, later each time: a repair may take a while to show.
const PATIENCE: Duration = Duration::from_secs(180);

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn both_mistakes_are_seen_and_repaired_and_all_money_arrives() {
    let town = Town::start(TownOptions::default()).await;
    let source = ExerciseSource::copy_into(town.folder());
    // All that a learner builds, built beforehand: the longer code fails, the longer the server waits with the next try, and
    // this test should not be as slow as a busy machine's compiler is.
    let first_mistake = source.place("workflow.rs", "amount.units() / one_percent");
    let broken = source.build("first");
    source.repair_workflow();
    let second_mistake = source.place("activities.rs", "&key(&context, \"withdraw\")");
    let half_repaired = source.build("second");
    source.repair_activity();
    let repaired = source.build("third");

    let worker = town.worker(&broken);
    let orders = town.start_batch(20, 20).await;
    let ids: Vec<&str> =
        orders.iter().map(|order| order["id"].as_str().expect("a transfer has an id")).collect();

    // The first mistake: the workflow's own code.
    for id in &ids {
        wait_until("the workflow task fails", PATIENCE, async || {
            workflow_task_fails(&town, id, &first_mistake).await
        })
        .await;
    }
    let (file, number) = first_mistake.rsplit_once(':').expect("a place is a file and a line");
    let file = file.strip_prefix("examples/money-transfer/").expect("the place is in the example");
    town.assert_page_shows(
        ids[0],
        &[
            "code keeps failing",
            "attempt to divide by zero",
            file,
            &format!("line {number}\\b"),
            "share_of_balance",
            "attempt \\d",
        ],
        "first-mistake",
    );
    assert_eq!(shown_trouble(&town, ids[0]).await, ("workflow".into(), first_mistake));
    assert_eq!(town.bookings().await, [], "no money has moved yet");

    worker.stop().expect("the worker runs until it is told to stop");
    let worker = town.worker(&half_repaired);

    // The second mistake: an activity that calls a wrong address for ever.
    for id in &ids {
        wait_until("the withdrawal fails", PATIENCE, async || {
            withdrawal_fails(&town, id, &second_mistake).await
        })
        .await;
    }
    let (_, number) = second_mistake.rsplit_once(':').expect("a place is a file and a line");
    town.assert_page_shows(
        ids[0],
        &[
            "withdraw",
            "attempt \\d",
            "answered 404",
            "activities.rs",
            &format!("line {number}\\b"),
            "next attempt in \\d+ s",
        ],
        "second-mistake",
    );
    let (place, shown_line) = shown_trouble(&town, ids[0]).await;
    assert_eq!((place["activity"].as_str(), shown_line), (Some("withdraw"), second_mistake));
    assert_eq!(town.bookings().await, [], "no money has moved yet");

    worker.stop().expect("the worker runs until it is told to stop");
    let worker = town.worker(&repaired);

    wait_until("all transfers are done", PATIENCE, async || {
        let done = town.list("WorkflowType = 'MoneyTransfer' AND ExecutionStatus = 'Completed'").await?;
        if done.len() == ids.len() { Ok(()) } else { Err(format!("{} of {}", done.len(), ids.len())) }
    })
    .await;
    town.assert_all_booked_once(&orders).await;
    worker.stop().expect("the worker runs until it is told to stop");
}

/// Seen through the server's API: the pending workflow task has failed, and the history says where.
async fn workflow_task_fails(town: &Town, id: &str, line: &str) -> Result<(), String> {
    let described = town.describe(id).await?;
    let info = described.workflow_execution_info.ok_or("nothing described")?;
    assert_eq!(info.status(), WorkflowExecutionStatus::Running, "{id}");
    let task = described.pending_workflow_task.ok_or("no workflow task")?;
    if task.attempt < 2 {
        return Err(format!("attempt {}", task.attempt));
    }
    let failures = town.history(id).await?.into_iter().filter_map(|event| match event.attributes {
        Some(Attributes::WorkflowTaskFailedEventAttributes(failed)) => failed.failure,
        _ => None,
    });
    let failure: Failure = failures.last().ok_or("no failure in the history")?;
    assert!(failure.message.contains("attempt to divide by zero"), "{failure:?}");
    assert!(failure.message.contains(line), "{line} is to be named in {failure:?}");
    Ok(())
}

/// Seen through the server's API: the pending activity has failed, and says where.
async fn withdrawal_fails(town: &Town, id: &str, line: &str) -> Result<(), String> {
    let described = town.describe(id).await?;
    let [activity] = &described.pending_activities[..] else {
        return Err(format!("{} pending activities", described.pending_activities.len()));
    };
    let kind = activity.activity_type.as_ref().map(|kind| kind.name.as_str());
    let failure = match &activity.last_failure {
        Some(failure) if kind == Some("withdraw") && activity.attempt >= 2 => failure,
        _ => return Err(format!("{kind:?} at attempt {}", activity.attempt)),
    };
    assert!(failure.message.contains("/account/account_"), "{failure:?}");
    assert!(failure.message.contains("answered 404"), "{failure:?}");
    assert!(failure.stack_trace.contains(line), "{line} is to be named in {failure:?}");
    Ok(())
}

/// What the example's own page shows: where the trouble is, and the file and line.
async fn shown_trouble(town: &Town, id: &str) -> (Value, String) {
    let shown = town.shown(id).await;
    let source = shown["trouble"]["source"].as_str().unwrap_or_else(|| panic!("no source in {shown}"));
    let file_and_line = source.rsplit_once(':').map_or(source, |(file_and_line, _column)| file_and_line);
    (shown["trouble"]["place"].clone(), file_and_line.to_owned())
}
