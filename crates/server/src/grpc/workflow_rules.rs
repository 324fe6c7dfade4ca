//! Workflow rules: a part of the namespace's configuration. Existing workflows are not scanned for a new rule. Off until `frontend.workflowRulesAPIsEnabled` is set.

use super::namespaces::change;
use crate::call::Call;
use crate::frontend::Frontend;
use crate::limits::WORKFLOW_RULES;
use crate::status::Refusal;
use std::collections::BTreeMap;
use steadfast_api::temporal::api::rules::v1::WorkflowRule;
use steadfast_api::v1::workflowservice::*;
use steadfast_engine::Rule;
use steadfast_machine::{Reject, Time};

fn check_enabled(frontend: &Frontend, call: &Call) -> Result<(), Refusal> {
    if frontend.limits.workflow_rules {
        return Ok(());
    }
    Err(not_supported(call))
}

fn not_supported(call: &Call) -> Refusal {
    Reject::Unimplemented(format!("method {} not supported", call.method)).into()
}

fn check_id(id: &str) -> Result<(), Refusal> {
    if id.is_empty() { Err(Reject::invalid("Workflow Rule ID is not set.").into()) } else { Ok(()) }
}

fn no_rule() -> Refusal {
    Reject::invalid("Workflow Rule with this ID not Found.").into()
}

/// Whether the queries can be read is not asked: on the reference too a rule with a bad one is kept and never applies.
pub async fn create_workflow_rule(
    frontend: &Frontend,
    call: Call,
    request: CreateWorkflowRuleRequest,
) -> Result<CreateWorkflowRuleResponse, Refusal> {
    let namespace = frontend.namespace(&request.namespace)?;
    check_enabled(frontend, &call)?;
    let spec = request.spec.ok_or_else(|| Reject::invalid("Rule Specification is not set."))?;
    check_id(&spec.id)?;
    if spec.id.len() > frontend.limits.id_bytes {
        return Err(Reject::invalid("Workflow Rule Id length exceeds limit.").into());
    }
    let now = frontend.engine.now();
    let id = spec.id.clone();
    let rule = WorkflowRule {
        create_time: Some(now.timestamp()),
        spec: Some(spec),
        created_by_identity: request.identity,
        description: request.description,
    };
    change(&frontend.engine, namespace.id, |namespace| {
        let rules = &mut namespace.rules;
        if rules.len() >= WORKFLOW_RULES {
            make_room(rules, now);
        }
        if rules.len() >= WORKFLOW_RULES {
            let text = format!("Workflow Rule limit exceeded. Max: {WORKFLOW_RULES}");
            return Err(Reject::invalid(text).into());
        }
        if rules.contains_key(&id) {
            return Err(Reject::invalid("Workflow Rule with this ID already exists.").into());
        }
        rules.insert(id.clone(), Rule::new(rule.clone()));
        Ok(())
    })
    .await?;
    Ok(CreateWorkflowRuleResponse { rule: Some(rule), job_id: String::new() })
}

/// Drops the rule that expired first. (The reference drops one that has yet to expire, too.)
fn make_room(rules: &mut BTreeMap<String, Rule>, now: Time) {
    let expired = rules.iter().filter_map(|(id, rule)| Some((rule.expires()?, id)));
    if let Some((_, id)) = expired.filter(|(time, _)| *time < now).min() {
        let id = id.clone();
        rules.remove(&id);
    }
}

pub async fn describe_workflow_rule(
    frontend: &Frontend,
    call: Call,
    request: DescribeWorkflowRuleRequest,
) -> Result<DescribeWorkflowRuleResponse, Refusal> {
    let namespace = frontend.namespace(&request.namespace)?;
    check_enabled(frontend, &call)?;
    check_id(&request.rule_id)?;
    let known = namespace.rules.get(&request.rule_id).ok_or_else(no_rule)?;
    Ok(DescribeWorkflowRuleResponse { rule: Some(known.rule.clone()) })
}

pub async fn delete_workflow_rule(
    frontend: &Frontend,
    call: Call,
    request: DeleteWorkflowRuleRequest,
) -> Result<DeleteWorkflowRuleResponse, Refusal> {
    let namespace = frontend.namespace(&request.namespace)?;
    check_enabled(frontend, &call)?;
    check_id(&request.rule_id)?;
    change(&frontend.engine, namespace.id, |namespace| {
        namespace.rules.remove(&request.rule_id).map(drop).ok_or_else(no_rule)
    })
    .await?;
    Ok(DeleteWorkflowRuleResponse {})
}

/// All of them, in the order of their ids: there are too few for a second page.
pub async fn list_workflow_rules(
    frontend: &Frontend,
    call: Call,
    request: ListWorkflowRulesRequest,
) -> Result<ListWorkflowRulesResponse, Refusal> {
    let namespace = frontend.namespace(&request.namespace)?;
    check_enabled(frontend, &call)?;
    let rules = namespace.rules.values().map(|known| known.rule.clone()).collect();
    Ok(ListWorkflowRulesResponse { rules, ..ListWorkflowRulesResponse::default() })
}

/// Off, whatever is configured, on the reference too.
pub async fn trigger_workflow_rule(
    frontend: &Frontend,
    call: Call,
    request: TriggerWorkflowRuleRequest,
) -> Result<TriggerWorkflowRuleResponse, Refusal> {
    frontend.namespace(&request.namespace)?;
    Err(not_supported(&call))
}
