//! A world in memory: it loads runs, applies inputs, stores what the machine decides, and tells it as text.
//!
//! It checks what must hold after every step: stored rows decode to the run that they were written from, and event ids
//! have no gap.

use super::show::Show;
use super::{input, line::Line};
use bytes::Bytes;
use prost::Message as _;
use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};
use std::fmt::Write as _;
use std::sync::Arc;
use steadfast_api::v1::common::SearchAttributes;
use steadfast_api::v1::history::{History, HistoryEvent};
use steadfast_machine::env::{BadAttributes, Fetched};
use steadfast_machine::workflow::input::{Input, What};
use steadfast_machine::workflow::message::{Body, Delivered, Envelope};
use steadfast_machine::workflow::reply::{StartedWorkflowTask, WorkflowReply};
use steadfast_machine::workflow::state::Run;
use steadfast_machine::workflow::{self, Runs};
use steadfast_machine::{
    AnyRun, CallerId, Decision, EntityKey, Env, Ids, Limits, Message, Namespace, PausingRule, Reject, Reply,
    RowKey, RuledActivity, RunKey, Task, TaskKey, Time,
};
use uuid::Uuid;

/// 2026-01-01, a Thursday, at midnight UTC.
pub const START: Time = Time(1_767_225_600_000_000_000);

/// The namespaces of the world; ids of entities in another than the first are written `other:w`.
const NAMESPACES: [(&str, Uuid); 2] = [("default", Uuid::from_u128(1)), ("other", Uuid::from_u128(2))];

pub struct Seeded {
    state: u64,
    order: i64,
}

impl Seeded {
    pub fn new() -> Seeded {
        Seeded { state: 1, order: 0 }
    }
}

impl Ids for Seeded {
    fn random(&mut self) -> u64 {
        self.state = self.state.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.state;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }

    fn order(&mut self, now: Time) -> i64 {
        self.order = (self.order + 1).max(now.0);
        self.order
    }
}

/// A namespace with the rules that the scenario made.
pub struct Fixed<'a>(pub usize, pub &'a [Rule]);

/// Pauses activities of this type from this attempt on.
pub struct Rule {
    pub id: String,
    pub activity_type: String,
    pub attempt: i32,
}

impl Namespace for Fixed<'_> {
    fn id(&self) -> Uuid {
        NAMESPACES[self.0].1
    }

    fn name(&self) -> &str {
        NAMESPACES[self.0].0
    }

    fn find(&self, name: &str) -> Option<Uuid> {
        NAMESPACES.iter().find(|(known, _)| *known == name).map(|(_, id)| *id)
    }

    fn retention(&self) -> i64 {
        steadfast_machine::duration::DAY
    }

    fn check_search_attributes(&self, attributes: &SearchAttributes) -> Result<(), BadAttributes> {
        for name in attributes.indexed_fields.keys() {
            if name.starts_with("Unknown") {
                return Err(BadAttributes::Unknown(format!("search attribute {name} is not defined")));
            }
            if name.starts_with("System") {
                let text = format!("{name} attribute can't be set in SearchAttributes");
                return Err(BadAttributes::Invalid(text));
            }
            if name.starts_with("Large") {
                return Err(BadAttributes::TooLarge(format!("search attribute {name} is too large")));
            }
        }
        Ok(())
    }

    fn pausing_rule(&self, activity: &RuledActivity<'_>, _: Time) -> Option<PausingRule> {
        let matches =
            |rule: &&Rule| rule.activity_type == activity.activity_type && activity.attempt >= rule.attempt;
        let rule = self.1.iter().find(matches)?;
        Some(PausingRule { id: rule.id.clone(), identity: "operator".into(), reason: String::new() })
    }
}

/// A run as a store keeps it.
#[derive(Clone)]
struct Stored {
    run: Run,
    rows: BTreeMap<RowKey, Bytes>,
}

pub struct World {
    pub now: Time,
    pub limits: Limits,
    pub rules: Vec<Rule>,
    ids: Seeded,
    entities: BTreeMap<EntityKey, BTreeMap<Uuid, Stored>>,
    /// By branch.
    history: HashMap<Uuid, Vec<HistoryEvent>>,
    /// Where batches begin: branch and event id.
    starts: HashSet<(Uuid, i64)>,
    pub tasks: BTreeMap<TaskKey, Task>,
    outbox: Vec<Message>,
    names: HashMap<Uuid, String>,
    pub callers: u64,
    /// The workflow tasks that workers have, by workflow id.
    pub started: HashMap<String, StartedWorkflowTask>,
}

impl World {
    pub fn new() -> World {
        World {
            now: START,
            limits: Limits::default(),
            rules: Vec::new(),
            ids: Seeded::new(),
            entities: BTreeMap::new(),
            history: HashMap::new(),
            starts: HashSet::new(),
            tasks: BTreeMap::new(),
            outbox: Vec::new(),
            names: HashMap::new(),
            callers: 0,
            started: HashMap::new(),
        }
    }

    /// Runs one block of a scenario: what came of it.
    pub fn execute(&mut self, block: &[&str]) -> Result<String, String> {
        let (first, below) = block.split_first().ok_or("a block without an input")?;
        let mut line = Line::parse(first)?;
        let output = input::execute(self, &mut line, below)?;
        line.end()?;
        super::check::check(self);
        Ok(output)
    }

    /// All runs there are, of each entity from the oldest on.
    pub fn runs(&self) -> impl Iterator<Item = (&EntityKey, Vec<&Run>)> {
        self.entities.iter().map(|(entity, runs)| (entity, runs.values().map(|stored| &stored.run).collect()))
    }

    /// The entity of a workflow id, which may name its namespace.
    pub fn entity(&self, id: &str) -> Result<EntityKey, String> {
        let (namespace, id) = id.split_once(':').unwrap_or(("default", id));
        let found = NAMESPACES.iter().find(|(name, _)| *name == namespace);
        let (_, namespace) = found.ok_or_else(|| format!("no namespace {namespace}"))?;
        Ok(EntityKey::workflow(*namespace, id))
    }

    /// `w` or `w/2`: the entity, and the run if one is named.
    pub fn target(&self, text: &str) -> Result<(EntityKey, Option<Uuid>), String> {
        match text.split_once('/') {
            None => Ok((self.entity(text)?, None)),
            Some((id, _)) => {
                let run = self.run_named(text).ok_or_else(|| format!("no run {text}"))?;
                Ok((self.entity(id)?, Some(run)))
            }
        }
    }

    pub fn run_named(&self, name: &str) -> Option<Uuid> {
        self.names.iter().find(|(_, known)| *known == name).map(|(id, _)| *id)
    }

    /// The current run of a workflow, or the one that is named.
    pub fn run(&self, text: &str) -> Result<&Run, String> {
        let (entity, run) = self.target(text)?;
        let runs = self.entities.get(&entity).ok_or_else(|| format!("no workflow {text}"))?;
        let found = match run {
            Some(run) => runs.get(&run),
            None => runs.values().next_back(),
        };
        found.map(|stored| &stored.run).ok_or_else(|| format!("no run {text}"))
    }

    pub fn show<T>(&self, f: impl FnOnce(&Show<'_>) -> T) -> T {
        f(&Show { start: START, name: &|id| self.names.get(&id).cloned() })
    }

    pub fn caller(&mut self) -> CallerId {
        self.callers += 1;
        CallerId(self.callers)
    }

    /// All that a workflow did, one event in a line.
    pub fn history(&self, text: &str) -> Result<String, String> {
        let parts = self.run(text)?.history_parts();
        let mut output = String::new();
        for (branch, last) in parts {
            for event in
                self.history.get(&branch).into_iter().flatten().filter(|event| event.event_id <= last)
            {
                let _ = writeln!(output, "{}", self.show(|show| show.event(event)));
            }
        }
        Ok(output)
    }

    /// Applies an input to a workflow and tells what came of it.
    pub fn apply(&mut self, workflow: &str, what: What) -> Result<String, String> {
        let (entity, run) = self.target(workflow)?;
        Ok(self.apply_input(&entity, Input { run, first_run: None, what }).0)
    }

    fn decide(&mut self, entity: &EntityKey, input: &Input) -> Result<Decision, Reject> {
        let runs = self.entities.get(entity);
        let current = runs.and_then(|runs| runs.values().next_back()).map(|stored| &stored.run);
        let named = match input.run {
            Some(id) => runs.and_then(|runs| runs.get(&id)).map(|stored| &stored.run),
            None => current,
        };
        let runs = Runs { current, named };
        let needs = workflow::needs(runs, input);
        let mut fetched = Fetched::default();
        let mut chain = needs.chain;
        while let Some(run) = chain {
            let Some(known) = self.entities.get(entity).and_then(|runs| runs.get(&run)) else { break };
            let history = self.batches(&known.run);
            chain = workflow::continued_as(&history);
            fetched.histories.insert(run, history);
        }
        for (run, id) in needs.events {
            let run = [current, named].into_iter().flatten().find(|known| known.id == run);
            let parts = run.map(Run::history_parts).unwrap_or_default();
            let event = parts
                .iter()
                .find_map(|(branch, _)| self.history.get(branch)?.iter().find(|event| event.event_id == id));
            if let (Some(run), Some(event)) = (run, event) {
                fetched.events.insert((run.id, id), event.clone());
            }
        }
        if needs.branches {
            let all = self.entities.get(entity).into_iter().flatten();
            fetched.branches = all.map(|(id, stored)| (*id, workflow::branches(&stored.run))).collect();
        }
        let namespace = NAMESPACES.iter().position(|(_, id)| *id == entity.namespace).unwrap_or_default();
        let mut env = Env {
            now: self.now,
            ids: &mut self.ids,
            limits: &self.limits,
            namespace: &Fixed(namespace, &self.rules),
            fetched: &fetched,
        };
        workflow::apply(entity, runs, input, &mut env)
    }

    /// The branches of history that there are.
    pub fn branches(&self) -> BTreeSet<Uuid> {
        self.history.keys().copied().collect()
    }

    /// A run's history as batches.
    pub fn batches(&self, run: &Run) -> Vec<Vec<HistoryEvent>> {
        let mut batches: Vec<Vec<HistoryEvent>> = Vec::new();
        let mut next = 1;
        for (branch, last) in run.history_parts() {
            let events = self.history.get(&branch).into_iter().flatten();
            for event in events.filter(|event| event.event_id >= next && event.event_id <= last) {
                if self.starts.contains(&(branch, event.event_id)) || batches.is_empty() {
                    batches.push(Vec::new());
                }
                batches.last_mut().expect("there is a batch").push(event.clone());
            }
            next = last.saturating_add(1);
        }
        batches
    }

    pub fn apply_input(&mut self, entity: &EntityKey, input: Input) -> (String, Result<Reply, Reject>) {
        let decision = match self.decide(entity, &input) {
            Ok(decision) => decision,
            Err(reject) => {
                let text = format!("rejected: {}\n", self.reject(&reject));
                return (text, Err(reject));
            }
        };
        let reply = decision.reply.clone();
        let mut output = self.store(entity, decision);
        match &reply {
            Ok(reply) => {
                if let Some(text) = self.reply(reply) {
                    let _ = writeln!(output, "reply: {text}");
                }
                self.keep_task(entity, reply);
            }
            Err(reject) => {
                let _ = writeln!(output, "refused: {}", self.reject(reject));
            }
        }
        (output, reply)
    }

    /// Remembers the workflow task that a worker got.
    fn keep_task(&mut self, entity: &EntityKey, reply: &Reply) {
        let Reply::Workflow(reply) = reply else { return };
        let task = match &**reply {
            WorkflowReply::WorkflowTask(task) => task,
            WorkflowReply::WorkflowTaskCompleted { new_task: Some(task), .. } => task,
            WorkflowReply::Started(started) => match &started.eager_task {
                Some(task) => task,
                None => return,
            },
            _ => return,
        };
        self.started.insert(entity.id.to_string(), task.clone());
    }

    fn store(&mut self, entity: &EntityKey, decision: Decision) -> String {
        let mut output = String::new();
        for change in &decision.runs {
            self.name(&change.key);
        }
        for change in decision.runs {
            let before = self.entities.get(entity).and_then(|runs| runs.get(&change.key.run)).cloned();
            let name = self.names[&change.key.run].clone();
            let Some(next) = change.next else {
                let _ = writeln!(output, "{name} deleted");
                if let Some(runs) = self.entities.get_mut(entity) {
                    runs.remove(&change.key.run);
                }
                continue;
            };
            let AnyRun::Workflow(next) = next else { panic!("{name}: only workflows live in this world") };
            if change.durable {
                let _ = writeln!(output, "{name}");
            }
            let history = self.history.entry(next.branch()).or_default();
            let from = history.len();
            for batch in &change.batches {
                let events = History::decode(batch.encoded.clone()).expect("a batch decodes").events;
                assert_eq!(
                    events.len() as i64,
                    batch.events,
                    "{name}: the batch says how many events it has"
                );
                self.starts.insert((next.branch(), batch.first_event_id));
                history.extend(events);
            }
            let inherited = next.core.ancestry.last().map_or(0, |part| part.last_event_id);
            for (index, event) in history.iter().enumerate().skip(from) {
                assert_eq!(event.event_id, inherited + index as i64 + 1, "{name}: event ids have no gap");
            }
            assert_eq!(
                next.core.next_event_id,
                inherited + history.len() as i64 + 1,
                "{name}: the next event id"
            );
            let new: Vec<HistoryEvent> = history[from..].to_vec();
            for event in &new {
                let _ = writeln!(output, "  {}", self.show(|show| show.event(event)));
            }
            let mut rows = before.as_ref().map(|stored| stored.rows.clone()).unwrap_or_default();
            for key in &change.rows {
                match next.encode_row(key) {
                    Some(bytes) => rows.insert(key.clone(), bytes),
                    None => rows.remove(key),
                };
            }
            check_rows(&name, &next, &rows);
            self.differences(&mut output, before.as_ref().map(|stored| &stored.run), &next);
            self.entities
                .entry(entity.clone())
                .or_default()
                .insert(change.key.run, Stored { run: Arc::unwrap_or_clone(next), rows });
        }
        for task in decision.tasks_added {
            // A task that is started in the commit that adds it never was in a queue.
            if decision.tasks_finished.contains(&task.key) {
                continue;
            }
            let _ = writeln!(output, "  + {}", self.task(&task));
            self.tasks.insert(task.key.clone(), task);
        }
        for key in decision.tasks_finished {
            if let Some(task) = self.tasks.remove(&key) {
                let _ = writeln!(output, "  - {}", self.task(&task));
            }
        }
        for message in decision.messages {
            let _ = writeln!(output, "  > {}", self.message(&message));
            self.outbox.push(message);
        }
        for branch in decision.branches_dropped {
            let name = self.names.get(&branch).cloned().unwrap_or_default();
            let _ = writeln!(output, "  branch of {name} dropped");
            assert!(self.history.remove(&branch).is_some(), "{name}: its branch was dropped before");
        }
        for (run, sequence) in decision.messages_done {
            self.outbox.retain(|message| (&message.from, message.sequence) != (&run, sequence));
        }
        for query in decision.queries {
            let _ = writeln!(
                output,
                "  query {} for caller {} goes to a worker",
                query.query.query_type, query.caller.0
            );
        }
        for call in decision.calls {
            let name = &self.names[&call.run.run];
            let _ = writeln!(output, "  call {} of {name} attempt {}", call.url, call.attempt + 1);
        }
        for answer in decision.answers {
            let text = match &answer.answer {
                Ok(reply) => self.reply(reply).unwrap_or_else(|| "done".into()),
                Err(reject) => self.reject(reject),
            };
            let _ = writeln!(output, "  answer to {}: {text}", answer.to.0);
        }
        output
    }

    fn name(&mut self, key: &RunKey) {
        if self.names.contains_key(&key.run) {
            return;
        }
        let id = self.entity_name(&key.entity);
        let taken =
            self.names.values().filter(|name| name.rsplit_once('/').is_some_and(|(known, _)| known == id));
        let number = taken.count() + 1;
        self.names.insert(key.run, format!("{id}/{number}"));
    }

    fn entity_name(&self, entity: &EntityKey) -> String {
        let namespace =
            NAMESPACES.iter().find(|(_, id)| *id == entity.namespace).map_or("?", |(name, _)| name);
        if namespace == "default" { entity.id.to_string() } else { format!("{namespace}:{}", entity.id) }
    }

    /// Status, alarm and what waits: where they differ from before.
    fn differences(&self, output: &mut String, before: Option<&Run>, next: &Run) {
        if before.is_some_and(|run| run.core.status != next.core.status) {
            let _ = writeln!(output, "  status {:?}", next.status());
        }
        let waiting = |run: &Run| run.buffered.len();
        if before.map_or(0, waiting) != waiting(next) {
            let names =
                next.buffered.values().filter_map(|row| row.event.as_ref()).map(HistoryEvent::event_type);
            let names: Vec<String> = names.map(|kind| format!("{kind:?}")).collect();
            let _ = writeln!(output, "  buffered [{}]", names.join(", "));
        }
        let alarm = next.alarm();
        if before.and_then(Run::alarm) != alarm {
            let text = alarm.map_or("none".into(), |time| self.show(|show| show.time(time)));
            let _ = writeln!(output, "  alarm {text}");
        }
    }

    fn task(&self, task: &Task) -> String {
        let kind = format!("{:?}", task.key.queue.kind).to_lowercase();
        let mut text = format!("{kind} task of {} in {}", self.names[&task.run.run], task.key.queue.name);
        if task.key.priority != 3 {
            let _ = write!(text, " priority {}", task.key.priority);
        }
        if !task.stored {
            text.push_str(" (not stored)");
        }
        text
    }

    fn message(&self, message: &Message) -> String {
        let body = Body::decode(message.body.clone()).expect("a message decodes");
        let content = body.content.map_or_else(String::new, |content| format!("{content:?}"));
        let kind = content.split('(').next().unwrap_or_default();
        let run = if body.to_run.is_empty() {
            String::new()
        } else {
            format!(" ({})", self.show(|s| s.string(&body.to_run)))
        };
        format!("{kind} to {}{run}", self.entity_name(&message.to))
    }

    /// Delivers the oldest message of the outbox and brings its answer back. `twice` delivers it two times, as a crash
    /// between the two commits would; with `lost` the answer does not come back, and the message stays. `None` if there is none.
    pub fn deliver(&mut self, twice: bool, lost: bool) -> Option<String> {
        let message = self.outbox.first()?.clone();
        let body = Body::decode(message.body.clone()).expect("a message decodes");
        let mut output = format!("{}\n", self.message(&message));
        let envelope =
            Envelope { from: message.from.clone(), sequence: message.sequence, body: body.clone() };
        let run = Uuid::parse_str(&body.to_run).ok();
        let mut answer = None;
        for _ in 0..if twice { 2 } else { 1 } {
            let what = What::Message(envelope.clone());
            let (text, reply) = self.apply_input(&message.to, Input { run, first_run: None, what });
            output.push_str(&text);
            answer = Some(reply);
        }
        let outcome = match answer? {
            Ok(Reply::Workflow(reply)) => match *reply {
                WorkflowReply::Message(content) => Ok(content),
                _ => Ok(None),
            },
            Ok(_) => Ok(None),
            Err(reject) => Err(reject),
        };
        if lost {
            output.push_str("the answer is lost\n");
            return Some(output);
        }
        let delivered = Delivered { sequence: message.sequence, body, outcome };
        let exists =
            self.entities.get(&message.from.entity).is_some_and(|runs| runs.contains_key(&message.from.run));
        if exists {
            let input = Input::run(message.from.run, What::Delivered(Box::new(delivered)));
            output.push_str(&self.apply_input(&message.from.entity.clone(), input).0);
        } else {
            output.push_str("the sender is gone\n");
        }
        self.outbox.retain(|other| (&other.from, other.sequence) != (&message.from, message.sequence));
        Some(output)
    }

    /// Lets time pass; alarms fire when they are due, earliest first.
    pub fn advance(&mut self, nanos: i64) -> String {
        let until = self.now.plus(nanos);
        let mut output = String::new();
        while let Some((time, entity, run)) = self.next_alarm().filter(|(time, ..)| *time <= until) {
            self.now = self.now.max(time);
            let _ = writeln!(output, "{}", self.show(|show| show.time(time)));
            let (text, _) = self.apply_input(&entity, Input::run(run, What::AlarmDue));
            output.push_str(&text);
            // A run that closes by its alarm wants to tell of it in the same moment.
            let closed = text.contains("  status ");
            assert!(
                closed || self.next_alarm().is_none_or(|next| next != (time, entity, run)),
                "the alarm did nothing"
            );
        }
        self.now = until;
        output
    }

    fn next_alarm(&self) -> Option<(Time, EntityKey, Uuid)> {
        let runs =
            self.entities.iter().flat_map(|(entity, runs)| runs.values().map(move |run| (entity, run)));
        runs.filter_map(|(entity, stored)| Some((stored.run.alarm()?, entity.clone(), stored.run.id))).min()
    }

    /// The process restarts: what is not stored is gone.
    pub fn restart(&mut self) {
        for stored in self.entities.values_mut().flat_map(BTreeMap::values_mut) {
            let rows: Vec<_> = stored.rows.clone().into_iter().collect();
            stored.run =
                Run::decode(stored.run.id, &stored.run.encode_core(), &rows).expect("stored rows decode");
        }
        self.tasks.retain(|_, task| task.stored);
    }

    fn reply(&self, reply: &Reply) -> Option<String> {
        let Reply::Workflow(reply) = reply else {
            return match reply {
                Reply::Done => None,
                other => Some(format!("{other:?}").to_lowercase()),
            };
        };
        Some(super::input::reply(self, reply))
    }

    fn reject(&self, reject: &Reject) -> String {
        let kind = format!("{reject:?}");
        let kind = kind.split(['(', ' ']).next().unwrap_or_default();
        let text = self.show(|show| show.string(reject.message()));
        format!("{kind} {}", text.trim_matches('"'))
    }
}

/// What is stored must be the run that is in memory.
fn check_rows(name: &str, run: &Run, rows: &BTreeMap<RowKey, Bytes>) {
    let rows: Vec<_> = rows.clone().into_iter().collect();
    let stored = Run::decode(run.id, &run.encode_core(), &rows).expect("stored rows decode");
    let strip = |run: &Run| {
        let mut run = run.clone();
        run.volatile = Default::default();
        run.core.task = run.core.task.take().filter(|task| !task.speculative);
        run
    };
    let (stored, run) = (strip(&stored), strip(run));
    assert!(
        stored == run,
        "{name}: the stored rows are another run than the one in memory:\n{stored:?}\n{run:?}"
    );
}
