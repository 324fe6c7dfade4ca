//! Tokens of tasks and pages. The first byte says what is done with the rest: opened as it is, or a token is made of it, and then
//! changed at a place that the bytes name.
//!
//! Promised beside: what was sealed opens to what was put in, for its own kind and with its own key alone; what was changed in any
//! way does not open.

use crate::message;
use arbitrary::{Result, Unstructured};
use bytes::Bytes;
use prost::Message;
use steadfast_server::token::{ActivityTask, HistoryPage, ListPage, Tokens, WorkflowTask, uuid_of};

const KEY: [u8; 32] = [7; 32];

pub fn seeds() -> Vec<Vec<u8>> {
    let tokens = Tokens::new(KEY);
    let task = WorkflowTask {
        workflow_id: "w".into(),
        scheduled_event_id: 2,
        attempt: 1,
        ..WorkflowTask::default()
    };
    let page = HistoryPage { event: 3, reverse: true, ..HistoryPage::default() };
    let sealed = [tokens.workflow_task(task), tokens.history_page(page)];
    let opened = sealed.iter().map(|token| [&[0], &token[..]].concat());
    opened.chain((0..4).map(|kind| vec![1, kind, 5, 200, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12])).collect()
}

pub fn run(input: &[u8]) {
    let Some((how, rest)) = input.split_first() else { return };
    let tokens = Tokens::new(KEY);
    if how & 1 == 0 {
        opened(&tokens, rest);
    } else {
        // The source gives zeros when it has nothing left.
        let _ = sealed(&tokens, &mut Unstructured::new(rest));
    }
}

/// How many kinds of tokens these bytes open as.
fn opened(tokens: &Tokens, token: &[u8]) -> usize {
    let kinds = [
        tokens.open_workflow_task(token).map(|task| task.position()).is_ok(),
        tokens.open_activity_task(token).is_ok(),
        tokens.open_query_task(token).map(|task| task.caller()).is_ok(),
        tokens.open_history_page(token).map(|page| uuid_of(&page.run)).is_ok(),
        tokens.open_list_page(token).map(|page| uuid_of(&page.run)).is_ok(),
    ];
    kinds.iter().filter(|opened| **opened).count()
}

fn sealed(tokens: &Tokens, source: &mut Unstructured<'_>) -> Result<()> {
    let kind = source.int_in_range(0..=3)?;
    let place = usize::from(source.arbitrary::<u16>()?);
    let change = source.arbitrary::<u8>()?;
    // A token's fields are filled from any message: what decodes as one is one.
    let content = message::fields("temporal.api.history.v1.ActivityTaskStartedEventAttributes", source)?;
    let token: Bytes = match kind {
        0 => {
            let task = WorkflowTask::decode(&content[..]).unwrap_or_default();
            let token = tokens.workflow_task(task.clone());
            assert_eq!(tokens.open_workflow_task(&token), Ok(task));
            token
        }
        1 => {
            let task = ActivityTask::decode(&content[..]).unwrap_or_default();
            let token = tokens.activity_task(task.clone());
            assert_eq!(tokens.open_activity_task(&token), Ok(task));
            token
        }
        2 => {
            let page = HistoryPage::decode(&content[..]).unwrap_or_default();
            let token = tokens.history_page(page.clone());
            assert_eq!(tokens.open_history_page(&token), Ok(page));
            token
        }
        _ => {
            let page = ListPage::decode(&content[..]).unwrap_or_default();
            let token = tokens.list_page(page.clone());
            assert_eq!(tokens.open_list_page(&token), Ok(page));
            token
        }
    };
    assert_eq!(opened(tokens, &token), 1, "a token is of one kind");
    assert_eq!(opened(&Tokens::new([8; 32]), &token), 0, "another key opens it");
    let mut damaged = token.to_vec();
    let place = place % damaged.len();
    damaged[place] ^= change.max(1);
    assert_eq!(opened(tokens, &damaged), 0, "byte {place} was changed");
    assert_eq!(opened(tokens, &token[..place]), 0, "it was cut at {place}");
    assert_eq!(opened(tokens, &[&token[..], &[change]].concat()), 0, "something was added");
    Ok(())
}
