//! Classes 12 and 13: task tokens and page tokens that are old, made up, of another kind, or of another namespace.

use bad_input_test::grpc::ask;
use bad_input_test::requests::*;
use bad_input_test::{Table, World};
use bytes::Bytes;
use steadfast_api::v1::workflowservice::*;

const BAD: &str = "Error deserializing task token.";
const BAD_PAGE: &str = "Invalid NextPageToken.";

pub async fn cases(world: &World, table: &mut Table) {
    replayed(world, table).await;
    forged(world, table).await;
    pages(world, table).await;
}

/// Class 12: what was true once.
async fn replayed(world: &World, table: &mut Table) {
    table.class(12);
    let done = world.workflow_task("done").await;
    world.complete(&done, vec![finish()]).await.expect("it is in order");
    let done = done.task_token;
    table.not_found("a task that was completed", complete(|r| r.task_token = done.clone()), "");
    table.not_found("a completed task that fails", fail(|r| r.task_token = done.clone()), "");

    let failed = world.workflow_task("failed").await;
    let fails = fail(|r| r.task_token = failed.task_token.clone());
    ask::<_, RespondWorkflowTaskFailedResponse>(world, &fails).await.expect("it is in order");
    // The second attempt is out: the token of the first is of the same scheduled event.
    let second = world.next_task(NAMESPACE, "failed").await;
    table.not_found("an older attempt", complete(|r| r.task_token = failed.task_token.clone()), "");
    table.not_found(
        "an older attempt that fails again",
        fail(|r| r.task_token = failed.task_token.clone()),
        "",
    );
    drop(second);

    let ended = world.workflow_task("ended").await;
    let ends = terminate(|r| r.workflow_execution = Some(execution("ended")));
    ask::<_, TerminateWorkflowExecutionResponse>(world, &ends).await.expect("it is in order");
    table.not_found("a task of a run that was terminated", complete(|r| r.task_token = ended.task_token), "");

    let gone = world.workflow_task("gone").await;
    let goes = delete(|r| r.workflow_execution = Some(execution("gone")));
    ask::<_, DeleteWorkflowExecutionResponse>(world, &goes).await.expect("it is in order");
    table.not_found("a task of a run that was deleted", complete(|r| r.task_token = gone.task_token), "");

    let token = world.activity_task("charged").await.task_token;
    let ends = complete_activity(|r| r.task_token = token.clone());
    ask::<_, RespondActivityTaskCompletedResponse>(world, &ends).await.expect("it is in order");
    table.not_found(
        "an activity that was completed",
        complete_activity(|r| r.task_token = token.clone()),
        "",
    );
    table.not_found("a completed activity that fails", fail_activity(|r| r.task_token = token.clone()), "");
    table.not_found(
        "a completed activity that cancels",
        cancel_activity(|r| r.task_token = token.clone()),
        "",
    );
    table.not_found("a completed activity that beats", heartbeat(|r| r.task_token = token.clone()), "");
    table.not_found(
        "an activity that never was",
        complete_activity_by_id(|r| r.activity_id = "9".into()),
        "",
    );
    table.not_found(
        "an activity of nobody",
        complete_activity_by_id(|r| r.workflow_id = "nobody".into()),
        "",
    );
}

/// Class 13: what never was true.
async fn forged(world: &World, table: &mut Table) {
    table.class(13);
    let task = world.workflow_task("taken").await.task_token;
    let activity = world.activity_task("beating").await.task_token;
    let foreign = world.workflow_task_in("other", "abroad").await.task_token;
    let empty = Bytes::new();
    let random = Bytes::from(vec![0x5a; 80]);
    // A message in the place of the keyed code, as a server without one would take it.
    let unsigned = Bytes::copy_from_slice(&task[16..]);
    let zeroed: Bytes = [&[0; 16][..], &task[16..]].concat().into();
    let cut = task.slice(..task.len() - 1);
    let extended: Bytes = [&task[..], b"\0"].concat().into();
    let mut flipped_code = task.to_vec();
    flipped_code[0] ^= 1;
    let mut flipped_content = task.to_vec();
    flipped_content[40] ^= 1;
    let large = Bytes::from(vec![b'x'; 1 << 20]);
    for (what, token) in [
        ("no token", empty),
        ("random bytes", random),
        ("a token without its code", unsigned),
        ("a token with zeros for its code", zeroed),
        ("a token cut short", cut),
        ("a token with a byte more", extended),
        ("a token with a bit of its code changed", flipped_code.into()),
        ("a token with a bit of its content changed", flipped_content.into()),
        ("a token of 1 MiB", large),
    ] {
        table.invalid(
            &format!("{what} completes a workflow task"),
            complete(|r| r.task_token = token.clone()),
            "",
        );
        table.invalid(&format!("{what} fails a workflow task"), fail(|r| r.task_token = token.clone()), "");
        table.invalid(
            &format!("{what} completes an activity"),
            complete_activity(|r| r.task_token = token.clone()),
            "",
        );
        table.invalid(&format!("{what} beats"), heartbeat(|r| r.task_token = token.clone()), "");
        table.invalid(&format!("{what} answers a query"), answer_query(|r| r.task_token = token.clone()), "");
    }
    table.invalid(
        "a workflow's token for an activity",
        complete_activity(|r| r.task_token = task.clone()),
        BAD,
    );
    table.invalid("a workflow's token for a query", answer_query(|r| r.task_token = task.clone()), BAD);
    table.invalid(
        "an activity's token for a workflow task",
        complete(|r| r.task_token = activity.clone()),
        BAD,
    );
    table.invalid(
        "a token of another namespace",
        complete(|r| r.task_token = foreign.clone()),
        "different namespace",
    );
    table.invalid(
        "a foreign token that fails",
        fail(|r| r.task_token = foreign.clone()),
        "different namespace",
    );
    table.invalid(
        "an activity's token in another namespace",
        complete_activity(|r| (r.namespace, r.task_token) = ("other".into(), activity.clone())),
        "different namespace",
    );
    table.not_found(
        "a token in a namespace that is not there",
        complete(|r| (r.namespace, r.task_token) = ("nowhere".into(), task.clone())),
        "nowhere",
    );
    let other_database = World::new(&Default::default()).await;
    let elsewhere = other_database.workflow_task("taken").await.task_token;
    table.invalid("a token of another database", complete(|r| r.task_token = elsewhere), BAD);
}

/// Class 13 for lists and histories.
async fn pages(world: &World, table: &mut Table) {
    for _ in 0..3 {
        world.start(start(|_| {})).await;
    }
    let listed: ListWorkflowExecutionsResponse =
        ask(world, &list(|r| r.page_size = 1)).await.expect("it is in order");
    let page = listed.next_page_token;
    let read: GetWorkflowExecutionHistoryReverseResponse =
        ask(world, &history_reverse(|r| (r.execution, r.maximum_page_size) = (Some(execution("done")), 1)))
            .await
            .expect("it is in order");
    assert!(!page.is_empty() && !read.next_page_token.is_empty(), "there is more than one row and one batch");
    let backward = read.next_page_token;
    let waits: GetWorkflowExecutionHistoryResponse =
        ask(world, &history(|r| r.wait_new_event = true)).await.expect("it is in order");
    let forward = waits.next_page_token;

    let random = Bytes::from_static(&[0x5a; 60]);
    let unsigned = page.slice(16..);
    for (what, token) in [
        ("random bytes", random),
        ("a list's token without its code", unsigned),
        ("a list's token cut short", page.slice(..page.len() - 1)),
        ("a history's token", backward.clone()),
        ("a JSON that the reference would know", Bytes::from_static(br#"{"SearchAfter":[1,2]}"#)),
        ("1 MiB", Bytes::from(vec![1; 1 << 20])),
    ] {
        table.invalid(
            &format!("a list continued by {what}"),
            list(|r| r.next_page_token = token.clone()),
            BAD_PAGE,
        );
    }
    for (what, token) in [
        ("random bytes", Bytes::from_static(&[0x5a; 60])),
        ("a list's token", page.clone()),
        ("a token of the other direction", backward.clone()),
        ("a token without its code", forward.slice(16..)),
    ] {
        table.invalid(
            &format!("a history continued by {what}"),
            history(|r| r.next_page_token = token.clone()),
            BAD_PAGE,
        );
    }
    table.invalid(
        "a backward history continued forward",
        history_reverse(|r| r.next_page_token = forward.clone()),
        BAD_PAGE,
    );
    table.invalid(
        "a history's token with another run",
        history(|r| {
            r.next_page_token = forward.clone();
            r.execution.get_or_insert_default().run_id = uuid::Uuid::from_u128(7).to_string();
        }),
        "does not match",
    );
    table.refused(
        "a history's token with another workflow",
        history(|r| {
            r.next_page_token = forward.clone();
            r.execution = Some(execution("nobody"));
        }),
        &["NotFound", "InvalidArgument"],
        "",
    );
    table.refused(
        "a history's token in another namespace",
        history(|r| (r.namespace, r.next_page_token) = ("other".into(), forward.clone())),
        &["NotFound", "InvalidArgument"],
        "",
    );
}
