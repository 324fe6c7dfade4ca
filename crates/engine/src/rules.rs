//! Workflow rules: a namespace's own conditions under which an activity is paused before it starts.
//!
//! What may be asked, and how odd questions are answered, is the reference's: names are `ActivityState` and `Attempts`, though
//! the comments of the API say otherwise.

use steadfast_api::temporal::api::rules::v1::workflow_rule_action::Variant;
use steadfast_api::temporal::api::rules::v1::workflow_rule_spec::Trigger;
use steadfast_api::temporal::api::rules::v1::{WorkflowRule, WorkflowRuleSpec};
use steadfast_machine::duration::SECOND;
use steadfast_machine::{PausingRule, RuledActivity, Time};
use steadfast_query::{CompareOp, Condition, Constant, Subject, Term, parse_datetime};

/// A rule with its conditions ready to be asked.
#[derive(Clone, Debug, PartialEq)]
pub struct Rule {
    pub rule: WorkflowRule,
    /// `None` if one cannot be read: such a rule is kept and shown, and never applies.
    conditions: Option<Conditions>,
}

#[derive(Clone, Debug, PartialEq)]
struct Conditions {
    /// `None` if all workflows are meant.
    workflow: Option<Condition>,
    activity: Condition,
}

impl Rule {
    pub fn new(rule: WorkflowRule) -> Rule {
        let conditions = rule.spec.as_ref().and_then(Conditions::read);
        Rule { rule, conditions }
    }

    /// The pause that this rule wants for the activity, if any.
    pub(crate) fn pause(&self, activity: &RuledActivity<'_>, now: Time) -> Option<PausingRule> {
        let (spec, conditions) = (self.rule.spec.as_ref()?, self.conditions.as_ref()?);
        let pauses = |variant: &Option<Variant>| matches!(variant, Some(Variant::ActivityPause(_)));
        if self.expires().is_some_and(|time| time < now)
            || !spec.actions.iter().any(|action| pauses(&action.variant))
        {
            return None;
        }
        let of_workflow =
            conditions.workflow.as_ref().is_none_or(|c| c.holds(&Workflow(activity)) == Some(true));
        let matches = of_workflow && conditions.activity.holds(&Activity(activity)) == Some(true);
        matches.then(|| PausingRule {
            id: spec.id.clone(),
            identity: self.rule.created_by_identity.clone(),
            reason: self.rule.description.clone(),
        })
    }

    pub fn expires(&self) -> Option<Time> {
        let time = self.rule.spec.as_ref()?.expiration_time?;
        Some(Time(time.seconds.saturating_mul(SECOND).saturating_add(time.nanos.into())))
    }
}

impl Conditions {
    fn read(spec: &WorkflowRuleSpec) -> Option<Conditions> {
        let Some(Trigger::ActivityStart(trigger)) = &spec.trigger else { return None };
        let workflow = match spec.visibility_query.as_str() {
            "" => None,
            query => Some(Condition::parse(query).ok()?),
        };
        Some(Conditions { workflow, activity: Condition::parse(&trigger.predicate).ok()? })
    }
}

struct Workflow<'a>(&'a RuledActivity<'a>);

impl Subject for Workflow<'_> {
    fn is(&self, name: &str, term: Term<'_>) -> Option<bool> {
        match name {
            "WorkflowId" => text(self.0.workflow_id, term),
            "WorkflowType" => workflow_type(self.0.workflow_type, term),
            "ExecutionStatus" => match term {
                Term::Compare(..) => text(self.0.workflow_status, term),
                _ => None,
            },
            "StartTime" => match term {
                Term::Between { negated, low, high } => {
                    Some(within(self.0.workflow_start, low, high)? != negated)
                }
                _ => time(self.0.workflow_start, term),
            },
            _ => None,
        }
    }
}

struct Activity<'a>(&'a RuledActivity<'a>);

impl Subject for Activity<'_> {
    fn is(&self, name: &str, term: Term<'_>) -> Option<bool> {
        let activity = self.0;
        match name {
            "ActivityType" => text(activity.activity_type, term),
            "ActivityId" => text(activity.activity_id, term),
            "ActivityState" => text(if activity.started.is_some() { "Started" } else { "Scheduled" }, term),
            "TaskQueue" => text(activity.task_queue, term),
            "Attempts" => number(activity.attempt.into(), term),
            // Before the second attempt there was none, whatever it is compared with.
            "BackoffInterval" => match term {
                Term::Compare(_, Constant::Int(_)) if activity.attempt < 2 => Some(false),
                _ => number(activity.backoff / SECOND, term),
            },
            "StartedTime" => match (term, activity.started) {
                (Term::Between { negated, low, high }, Some(started)) => {
                    Some(within(started, low, high)? != negated)
                }
                (Term::Between { negated, low, high }, None) => {
                    within(Time(0), low, high)?;
                    Some(negated)
                }
                (_, started) => time(started.unwrap_or(Time(0)), term),
            },
            // The reference knows the name, and no comparison that its grammar can say.
            "LastFailure" => match term {
                Term::Compare(_, Constant::Text(_)) | Term::StartsWith { prefix: Constant::Text(_), .. }
                    if !activity.failed =>
                {
                    Some(false)
                }
                _ => None,
            },
            _ => None,
        }
    }
}

fn text(value: &str, term: Term<'_>) -> Option<bool> {
    match term {
        Term::Compare(_, Constant::Text("")) | Term::StartsWith { prefix: Constant::Text(""), .. } => None,
        Term::Compare(CompareOp::Equal, Constant::Text(other)) => Some(value == other),
        Term::Compare(CompareOp::NotEqual, Constant::Text(other)) => Some(value != other),
        Term::StartsWith { negated, prefix: Constant::Text(prefix) } => {
            Some(value.starts_with(prefix) != negated)
        }
        _ => None,
    }
}

/// As [`text`], but the reference has the sides of STARTS_WITH the wrong way round, and allows an empty text.
fn workflow_type(value: &str, term: Term<'_>) -> Option<bool> {
    match term {
        Term::StartsWith { negated, prefix: Constant::Text(given) } => {
            Some(given.starts_with(value) != negated)
        }
        Term::Compare(op, Constant::Text("")) => text("", Term::Compare(op, Constant::Text(value))),
        _ => text(value, term),
    }
}

fn number(value: i64, term: Term<'_>) -> Option<bool> {
    match term {
        Term::Compare(op, Constant::Int(other)) => Some(op.accepts(value.cmp(&other))),
        _ => None,
    }
}

fn time(value: Time, term: Term<'_>) -> Option<bool> {
    match term {
        Term::Compare(op, other) => Some(op.accepts(value.0.cmp(&moment(other)?))),
        _ => None,
    }
}

fn within(value: Time, low: Constant<'_>, high: Constant<'_>) -> Option<bool> {
    Some((moment(low)?..=moment(high)?).contains(&value.0))
}

/// Nanoseconds since the epoch.
fn moment(constant: Constant<'_>) -> Option<i64> {
    match constant {
        Constant::Int(nanos) => Some(nanos),
        Constant::Text(text) => parse_datetime(text),
        Constant::Double(_) => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use prost_types::Timestamp;
    use steadfast_api::temporal::api::rules::v1::WorkflowRuleAction;
    use steadfast_api::temporal::api::rules::v1::workflow_rule_action::ActionActivityPause;
    use steadfast_api::temporal::api::rules::v1::workflow_rule_spec::ActivityStartingTrigger;

    const ACTIVITY: RuledActivity<'_> = RuledActivity {
        workflow_id: "transfer-7",
        workflow_type: "Transfer",
        workflow_start: Time(1_767_225_600_000_000_000),
        workflow_status: "Running",
        activity_id: "1",
        activity_type: "Withdraw",
        task_queue: "money",
        attempt: 3,
        backoff: 2 * SECOND,
        started: None,
        failed: true,
    };

    fn pauses(predicate: &str, query: &str, expires: Option<i64>) -> bool {
        let trigger = ActivityStartingTrigger { predicate: predicate.into() };
        let pause = WorkflowRuleAction { variant: Some(Variant::ActivityPause(ActionActivityPause {})) };
        let spec = WorkflowRuleSpec {
            id: "rule".into(),
            trigger: Some(Trigger::ActivityStart(trigger)),
            visibility_query: query.into(),
            actions: vec![pause],
            expiration_time: expires.map(|seconds| Timestamp { seconds, nanos: 0 }),
        };
        let rule = Rule::new(WorkflowRule { spec: Some(spec), ..WorkflowRule::default() });
        rule.pause(&ACTIVITY, Time(100 * SECOND)).is_some()
    }

    #[test]
    fn predicates_ask_for_the_activity() {
        for (predicate, expected) in [
            ("ActivityType = 'Withdraw'", true),
            ("ActivityType = 'Deposit'", false),
            ("ActivityType STARTS_WITH 'With' AND Attempts >= 2", true),
            ("(ActivityId = '2' OR Attempts < 3) AND TaskQueue = 'money'", false),
            ("ActivityState = 'Scheduled' AND TaskQueue != 'other'", true),
            ("ActivityState = 'Started'", false),
            ("ActivityStatus = 'Scheduled'", false),
            ("ActivityAttempt = 3", false),
            ("Attempts >= '3'", false),
            ("Attempts < 3.5", false),
            ("Attempts BETWEEN 1 AND 3", false),
            ("BackoffInterval > 1", true),
            ("BackoffInterval > 2", false),
            ("ActivityType != ''", false),
            ("NOT ActivityType = 'Deposit'", false),
            ("ActivityType IN ('Withdraw')", false),
            ("LastFailure = 'no' OR ActivityType = 'Withdraw'", false),
            ("ActivityType = 'Withdraw' OR LastFailure = 'no'", true),
            ("StartedTime < '2020-01-01T00:00:00Z'", true),
            ("StartedTime NOT BETWEEN 0 AND 5", true),
            ("StartedTime BETWEEN 0 AND 5", false),
            ("", false),
            ("((", false),
            ("Colour = 'red'", false),
        ] {
            assert_eq!(pauses(predicate, "", None), expected, "{predicate}");
        }
    }

    #[test]
    fn a_first_attempt_had_no_backoff_and_no_failure() {
        let first = RuledActivity { attempt: 1, backoff: 0, failed: false, ..ACTIVITY };
        let asked = |predicate: &str| {
            let condition = Condition::parse(predicate).expect("it can be read");
            condition.holds(&Activity(&first))
        };
        assert_eq!(asked("BackoffInterval < 100"), Some(false));
        assert_eq!(asked("LastFailure = 'no' OR ActivityType = 'Withdraw'"), Some(true));
    }

    #[test]
    fn queries_ask_for_the_workflow() {
        for (query, expected) in [
            ("WorkflowType = 'Transfer' AND WorkflowId STARTS_WITH 'transfer-'", true),
            ("WorkflowType = 'Refund'", false),
            ("WorkflowType != ''", true),
            ("WorkflowType STARTS_WITH 'Trans'", false),
            ("WorkflowType STARTS_WITH 'TransferMoney'", true),
            ("ExecutionStatus = 'Running' AND StartTime > '2025-01-01T00:00:00Z'", true),
            ("ExecutionStatus STARTS_WITH 'Run'", false),
            ("ExecutionStatus = 1", false),
            ("StartTime BETWEEN '2025-01-01T00:00:00Z' AND '2027-01-01T00:00:00+01:00'", true),
            ("StartTime > '2027-01-01T00:00:00Z'", false),
            ("StartTime > '2025-01-01'", false),
            ("TaskQueue = 'money'", false),
            (" ", false),
            ("((", false),
        ] {
            assert_eq!(pauses("Attempts > 0", query, None), expected, "{query}");
        }
    }

    #[test]
    fn an_expired_rule_does_nothing() {
        assert!(pauses("Attempts > 0", "", Some(100)));
        assert!(!pauses("Attempts > 0", "", Some(99)));
    }
}
