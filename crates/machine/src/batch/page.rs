//! Pages of targets: asked for, and here.

use super::state::PageRow;
use super::{Page, Step, end};
use crate::decision::{PageDue, Reply};
use crate::env::Env;
use crate::key::RowTable;
use std::sync::Arc;
use steadfast_api::v1::enums::WorkflowExecutionStatus as Status;

/// Asks for the next page, unless that is being done.
pub fn ask(step: &mut Step, env: &mut Env<'_>) {
    if !step.run.may_ask(env.now) {
        return;
    }
    step.run.asked = Some(env.now);
    let core = &step.run.core;
    step.pages.push(PageDue {
        run: step.key.clone(),
        number: core.page + 1,
        query: step.run.start.query.clone(),
        after: core.next.clone(),
        limit: env.limits.batch_page,
        count: core.page == 0,
    });
}

/// One that was asked for twice changes nothing when it comes for the second time.
pub fn arrived(step: &mut Step, page: &Page) -> Reply {
    if !step.run.wants_page() || page.number != step.run.core.page + 1 {
        return Reply::Stale;
    }
    step.run.asked = None;
    step.run.page = Arc::new(PageRow { targets: page.targets.clone() });
    step.put(RowTable::Page);
    let core = &mut step.run.core;
    core.page = page.number;
    core.sent = 0;
    core.next.clone_from(&page.next);
    core.total = page.total.unwrap_or(core.total);
    Reply::Done
}

pub fn refused(step: &mut Step, page: i64, message: &str, env: &Env<'_>) -> Reply {
    if !step.run.wants_page() || page != step.run.core.page + 1 {
        return Reply::Stale;
    }
    step.run.core.end_reason = message.to_owned();
    end::close(step, Status::Failed, env);
    Reply::Done
}
