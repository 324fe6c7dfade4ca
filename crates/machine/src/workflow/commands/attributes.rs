//! UpsertWorkflowSearchAttributes and ModifyWorkflowProperties.

use super::{Completion, Done, Trouble, check_attributes, check_size};
use crate::env::Env;
use crate::workflow::events::Attributes;
use crate::workflow::rows::AttributesRow;
use crate::workflow::step::Step;
use prost::Message as _;
use std::collections::HashMap;
use steadfast_api::v1::command::{
    Command, ModifyWorkflowPropertiesCommandAttributes, UpsertWorkflowSearchAttributesCommandAttributes,
};
use steadfast_api::v1::common::{Memo, Payload, SearchAttributes};
use steadfast_api::v1::enums::WorkflowTaskFailedCause as Cause;
use steadfast_api::v1::history::{
    UpsertWorkflowSearchAttributesEventAttributes, WorkflowPropertiesModifiedEventAttributes,
};

pub fn upsert(
    step: &mut Step,
    completion: &Completion<'_>,
    command: &Command,
    attributes: &UpsertWorkflowSearchAttributesCommandAttributes,
    env: &mut Env<'_>,
) -> Done {
    let cause = Cause::BadSearchAttributes;
    let missing = |what: &str| {
        Trouble::fail(cause, format!("{what} is not set on UpsertWorkflowSearchAttributesCommand."))
    };
    let upserted = attributes.search_attributes.as_ref().ok_or_else(|| missing("SearchAttributes"))?;
    if upserted.indexed_fields.is_empty() {
        return Err(missing("IndexedFields"));
    }
    check_attributes(cause, upserted, None, env)?;
    let upserted = env.namespace.with_types(upserted.clone());
    step.write_full(
        env,
        Attributes::UpsertWorkflowSearchAttributesEventAttributes(
            UpsertWorkflowSearchAttributesEventAttributes {
                workflow_task_completed_event_id: completion.completed_event_id,
                search_attributes: Some(upserted.clone()),
            },
        ),
        command.user_metadata.clone(),
        Vec::new(),
    );
    let mut row: AttributesRow = (*step.run.attributes).clone();
    let merged = row.search_attributes.get_or_insert_with(SearchAttributes::default);
    merge(&mut merged.indexed_fields, &upserted.indexed_fields);
    check_attributes(cause, merged, None, env)?;
    step.put_attributes(row);
    Ok(())
}

pub fn modify_properties(
    step: &mut Step,
    completion: &Completion<'_>,
    command: &Command,
    attributes: &ModifyWorkflowPropertiesCommandAttributes,
    env: &mut Env<'_>,
) -> Done {
    let cause = Cause::BadModifyWorkflowPropertiesAttributes;
    let missing =
        |what: &str| Trouble::fail(cause, format!("{what} is not set on ModifyWorkflowPropertiesCommand."));
    let upserted = attributes.upserted_memo.as_ref().ok_or_else(|| missing("UpsertedMemo"))?;
    if upserted.fields.is_empty() {
        return Err(missing("UpsertedMemo.Fields"));
    }
    check_size(cause, "ModifyWorkflowPropertiesCommandAttributes", upserted.encoded_len(), env)?;
    let mut row: AttributesRow = (*step.run.attributes).clone();
    let memo = row.memo.get_or_insert_with(Memo::default);
    merge(&mut memo.fields, &upserted.fields);
    if memo.encoded_len() > env.limits.memo_bytes {
        let message = "ModifyWorkflowPropertiesCommandAttributes. Memo exceeds size limit.".into();
        return Err(Trouble::Terminate { cause, message });
    }
    step.write_full(
        env,
        Attributes::WorkflowPropertiesModifiedEventAttributes(WorkflowPropertiesModifiedEventAttributes {
            workflow_task_completed_event_id: completion.completed_event_id,
            upserted_memo: Some(upserted.clone()),
        }),
        command.user_metadata.clone(),
        Vec::new(),
    );
    step.put_attributes(row);
    Ok(())
}

/// A null payload takes the key away.
pub fn merge(into: &mut HashMap<String, Payload>, from: &HashMap<String, Payload>) {
    for (key, payload) in from {
        if is_null(payload) {
            into.remove(key);
        } else {
            into.insert(key.clone(), payload.clone());
        }
    }
}

/// What is set from the beginning; none if nothing is.
pub fn without_nulls(attributes: Option<SearchAttributes>) -> Option<SearchAttributes> {
    let mut attributes = attributes?;
    attributes.indexed_fields.retain(|_, payload| !is_null(payload));
    (!attributes.indexed_fields.is_empty()).then_some(attributes)
}

/// The same of a memo.
pub fn memo_without_nulls(memo: Option<Memo>) -> Option<Memo> {
    let mut memo = memo?;
    memo.fields.retain(|_, payload| !is_null(payload));
    (!memo.fields.is_empty()).then_some(memo)
}

/// Whether a payload is what the Go SDK makes of nil or of an empty list. Its encoding does not matter; JSON's `null` is
/// a value.
pub fn is_null(payload: &Payload) -> bool {
    matches!(payload.data.as_ref(), b"" | b"[]")
}
