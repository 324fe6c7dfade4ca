//! A workflow goes through the engine on the in-memory store: started, polled, completed, with an activity and a timer.

use crate::support::{activity, command, setup};
use steadfast_api::v1::command::command::Attributes;
use steadfast_api::v1::command::{
    CompleteWorkflowExecutionCommandAttributes, ContinueAsNewWorkflowExecutionCommandAttributes,
    StartTimerCommandAttributes,
};
use steadfast_api::v1::enums::{CommandType, EventType};
use steadfast_api::v1::history::History;
use steadfast_machine::workflow::input::*;

fn types(history: &History) -> Vec<EventType> {
    history.events.iter().map(|event| event.event_type()).collect()
}

#[tokio::test]
async fn an_activity_and_a_timer_lead_to_the_end() {
    let setup = setup().await;
    let run = setup.start().await;
    let (task, history) = setup.poll().await;
    assert_eq!(task.run_id, run);
    use EventType::*;
    assert_eq!(types(&history), [WorkflowExecutionStarted, WorkflowTaskScheduled, WorkflowTaskStarted]);

    let timer = StartTimerCommandAttributes {
        timer_id: "t".into(),
        start_to_fire_timeout: Some(prost_types::Duration { seconds: 0, nanos: 50_000_000 }),
    };
    let timer = command(CommandType::StartTimer, Attributes::StartTimerCommandAttributes(timer));
    let commands = vec![activity("a"), timer];
    setup.complete(&task, commands).await;

    let activity = setup.poll_activity().await.expect("an activity task");
    let end = EndActivity {
        activity: ActivityRef::Token { scheduled_event_id: 5, attempt: 1 },
        identity: "worker".into(),
        end: ActivityEnd::Completed(None),
    };
    assert_eq!(activity.scheduled.event_id, 5);
    let input = Input::run(run, What::EndActivity(Box::new(end)));
    setup.engine.apply(setup.key.clone(), input).await.expect("the activity is pending");

    let (task, history) = setup.poll().await;
    assert!(types(&history).contains(&ActivityTaskCompleted));
    setup.complete(&task, Vec::new()).await;

    // The timer fires by itself.
    let (task, history) = setup.poll().await;
    assert!(types(&history).contains(&TimerFired));
    let end = CompleteWorkflowExecutionCommandAttributes::default();
    let end = Attributes::CompleteWorkflowExecutionCommandAttributes(end);
    setup.complete(&task, vec![command(CommandType::CompleteWorkflowExecution, end)]).await;

    let run = setup.engine.describe(setup.key.clone(), Some(run)).await.expect("it is there");
    assert!(!run.is_open());
    assert_eq!(run.alarm(), None);
}

#[tokio::test]
async fn a_run_that_goes_on_as_another_is_found_by_who_reads_it_in_the_same_turn() {
    let setup = setup().await;
    let run = setup.start().await;
    let (task, _) = setup.poll().await;
    let again = Attributes::ContinueAsNewWorkflowExecutionCommandAttributes(
        ContinueAsNewWorkflowExecutionCommandAttributes::default(),
    );
    let again = vec![command(CommandType::ContinueAsNewWorkflowExecution, again)];
    // The first makes the mailbox busy; all are in it before anybody drives it.
    let (busy, read, _) = tokio::join!(
        setup.engine.apply(setup.key.clone(), Input::run(run, What::ResetSticky)),
        setup.engine.describe(setup.key.clone(), Some(run)),
        setup.complete(&task, again)
    );
    busy.expect("there is nothing to reset");
    let read = read.expect("it is there");
    assert!(!read.is_open() && !read.core.new_run_id.is_empty());
}
