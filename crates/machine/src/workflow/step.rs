//! One step on one run: a working copy of it, and everything that the step changes.
//!
//! The machine's functions work on a step; `finish` turns it into the decision. Cloning a step is cheap, so undoing a
//! part of it (a completion with a bad command) is going back to a clone.

use super::events::{self, Attributes};
use super::rows::*;
use super::state::Run;
use crate::decision::{Answer, Batch, CallbackDue, Decision, Message, QueryTask, Reply, RunChange, Task};
use crate::env::Env;
use crate::key::{CallerId, EntityKey, QueueKey, QueueType, RowKey, RowTable, RunKey, TaskKey, Time};
use crate::reject::Reject;
use bytes::Bytes;
use prost::Message as _;
use std::collections::BTreeSet;
use std::sync::Arc;
use steadfast_api::v1::common::{Link, Priority};
use steadfast_api::v1::history::{History, HistoryEvent};
use steadfast_api::v1::sdk::UserMetadata;
use uuid::Uuid;

#[derive(Clone)]
pub struct Step {
    pub key: RunKey,
    pub run: Run,
    pub durable: bool,
    pub visibility: bool,
    /// By how much the run's count of state transitions rises when the step is stored. What only keeps the books is none.
    pub transitions: i64,
    /// Whether an activity was paused, or is paused no more: lists show the types of those that are.
    pub pauses_changed: bool,
    /// Bytes of the history before this step.
    pub history_bytes_before: i64,
    /// The run goes altogether.
    pub deleted: bool,
    /// Branches of history that nobody uses any more.
    pub branches_dropped: Vec<Uuid>,
    rows: BTreeSet<RowKey>,
    /// Buffered events that this very step added: if it flushes them too, no row was ever needed.
    fresh: BTreeSet<i64>,
    batches: Vec<Vec<HistoryEvent>>,
    pub answers: Vec<Answer>,
    pub tasks_added: Vec<Task>,
    pub tasks_finished: Vec<TaskKey>,
    pub messages: Vec<Message>,
    /// Sequences of messages that came to their end.
    pub messages_done: Vec<i64>,
    pub queries: Vec<QueryTask>,
    pub calls: Vec<CallbackDue>,
    /// The run is closed by the reset of an earlier run of its chain, which goes on from there: without this run's children.
    pub goes_on: bool,
    /// The next run of the chain, made by this step.
    pub successor: Option<Box<Step>>,
}

impl Step {
    pub fn on(entity: &EntityKey, run: &Run) -> Step {
        Step {
            key: entity.run(run.id),
            run: run.clone(),
            durable: false,
            visibility: false,
            transitions: 1,
            pauses_changed: false,
            history_bytes_before: run.core.history_bytes,
            deleted: false,
            branches_dropped: Vec::new(),
            rows: BTreeSet::new(),
            fresh: BTreeSet::new(),
            batches: vec![Vec::new()],
            answers: Vec::new(),
            tasks_added: Vec::new(),
            tasks_finished: Vec::new(),
            messages: Vec::new(),
            messages_done: Vec::new(),
            queries: Vec::new(),
            calls: Vec::new(),
            goes_on: false,
            successor: None,
        }
    }

    /// The time that events of this step carry: never before the run's last event.
    pub fn now(&self, env: &Env<'_>) -> Time {
        env.now.max(Time(self.run.core.last_event_time))
    }

    pub fn priority(&self) -> Option<Priority> {
        self.run.core.priority.clone().or_else(|| self.run.start.priority.clone())
    }

    /// Writes an event now, with the next id.
    pub fn write(&mut self, env: &Env<'_>, attributes: Attributes) -> i64 {
        self.write_full(env, attributes, None, Vec::new())
    }

    pub fn write_full(
        &mut self,
        env: &Env<'_>,
        attributes: Attributes,
        user_metadata: Option<UserMetadata>,
        links: Vec<Link>,
    ) -> i64 {
        let event = self.make(env, attributes, user_metadata, links);
        self.append(event)
    }

    /// Writes an event that happened earlier than now (a started event that is written with the end of its activity).
    pub fn make(
        &self,
        env: &Env<'_>,
        attributes: Attributes,
        user_metadata: Option<UserMetadata>,
        links: Vec<Link>,
    ) -> HistoryEvent {
        HistoryEvent {
            event_time: Some(self.now(env).timestamp()),
            event_type: events::event_type(&attributes) as i32,
            worker_may_ignore: events::worker_may_ignore(&attributes),
            attributes: Some(attributes),
            user_metadata,
            links,
            ..HistoryEvent::default()
        }
    }

    /// Gives the event the next id and puts it at the end of the history.
    pub fn append(&mut self, mut event: HistoryEvent) -> i64 {
        let id = self.run.core.next_event_id;
        event.event_id = id;
        event.task_id = events::TASK_ID_BASE + id;
        let core = &mut self.run.core;
        core.next_event_id += 1;
        if let Some(time) = &event.event_time {
            core.last_event_time = core.last_event_time.max(Time::from_timestamp(time).0);
        }
        core.history_bytes += event.encoded_len() as i64;
        self.durable = true;
        self.batches.last_mut().expect("there is always a batch").push(event);
        id
    }

    /// Ends the batch: what follows is a batch of its own.
    pub fn cut(&mut self) {
        if self.batches.last().is_some_and(|batch| !batch.is_empty()) {
            self.batches.push(Vec::new());
        }
    }

    /// Records an event that has to wait while a workflow task is started. It gets its id in `flush`.
    pub fn record(&mut self, env: &Env<'_>, attributes: Attributes) {
        let event = self.make(env, attributes, None, Vec::new());
        self.record_event(event);
    }

    pub fn record_event(&mut self, event: HistoryEvent) {
        let sequence = self.run.core.next_buffered;
        self.run.core.next_buffered += 1;
        self.run.core.buffered_bytes += event.encoded_len() as i64;
        self.fresh.insert(sequence);
        self.put(RowKey::number(RowTable::Buffered, sequence));
        self.run.buffered.insert(sequence, Arc::new(BufferedRow { sequence, event: Some(event) }));
    }

    /// Writes the buffered events; ends of activities and children come after all others. Returns whether there were any.
    pub fn flush(&mut self) -> bool {
        if self.run.buffered.is_empty() {
            return false;
        }
        let buffered = std::mem::take(&mut self.run.buffered);
        self.run.core.buffered_bytes = 0;
        let (mut first, mut ends) = (Vec::new(), Vec::new());
        for (sequence, row) in buffered {
            let key = RowKey::number(RowTable::Buffered, sequence);
            if self.fresh.remove(&sequence) {
                self.rows.remove(&key)
            } else {
                self.rows.insert(key)
            };
            let Some(event) = row.event.clone() else { continue };
            if events::is_end(&event) { ends.push(event) } else { first.push(event) }
        }
        let mut started = std::collections::BTreeMap::new();
        for mut event in first.into_iter().chain(ends) {
            events::set_started_id(&mut event, &started);
            let starts = events::starts(&event);
            let request = events::request_id(&event);
            let id = self.append(event);
            if let Some(origin) = starts {
                started.insert(origin, id);
                self.child_started_id(origin, id);
            }
            if let Some(request_id) = request {
                self.resolve_request(&request_id, id);
            }
        }
        true
    }

    pub fn drop_buffered(&mut self, sequence: i64, bytes: usize) {
        let key = RowKey::number(RowTable::Buffered, sequence);
        self.run.buffered.remove(&sequence);
        self.run.core.buffered_bytes -= bytes as i64;
        if self.fresh.remove(&sequence) {
            self.rows.remove(&key)
        } else {
            self.rows.insert(key)
        };
    }

    /// The run closed: what nobody has seen by now nobody will.
    pub fn drop_all_buffered(&mut self) {
        let sequences: Vec<i64> = self.run.buffered.keys().copied().collect();
        for sequence in sequences {
            self.drop_buffered(sequence, 0);
        }
        self.run.core.buffered_bytes = 0;
    }

    fn child_started_id(&mut self, initiated: i64, started: i64) {
        if let Some(child) = self.run.children.get(&initiated).filter(|child| child.started_event_id == 0) {
            let child = ChildRow { started_event_id: started, ..(**child).clone() };
            self.put_child(child);
        }
    }

    fn resolve_request(&mut self, request_id: &str, event_id: i64) {
        if let Some(row) = self.run.request_ids.get(request_id).filter(|row| row.event_id == 0) {
            let row = RequestIdRow { event_id, ..(**row).clone() };
            self.put(RowKey::text(RowTable::RequestId, request_id));
            self.run.request_ids.insert(request_id.to_owned(), Arc::new(row));
        }
    }

    /// Marks a row as changed.
    pub fn put(&mut self, key: RowKey) {
        self.durable = true;
        self.rows.insert(key);
    }

    pub fn put_activity(&mut self, row: ActivityRow) {
        self.put(RowKey::number(RowTable::Activity, row.scheduled_event_id));
        let before = self.run.activities.get(&row.scheduled_event_id);
        self.pauses_changed |= before.is_some_and(|before| before.pause.is_some()) != row.pause.is_some();
        self.run.hold_activity(row);
    }

    pub fn drop_activity(&mut self, scheduled_event_id: i64) {
        self.put(RowKey::number(RowTable::Activity, scheduled_event_id));
        if let Some(row) = self.run.drop_activity(scheduled_event_id) {
            self.pauses_changed |= row.pause.is_some();
            self.unqueue(row.queued.as_ref(), QueueType::Activity);
        }
    }

    pub fn put_timer(&mut self, row: TimerRow) {
        self.put(RowKey::number(RowTable::Timer, row.started_event_id));
        self.run.hold_timer(row);
    }

    pub fn drop_timer(&mut self, started_event_id: i64) {
        self.put(RowKey::number(RowTable::Timer, started_event_id));
        self.run.drop_timer(started_event_id);
    }

    pub fn put_child(&mut self, row: ChildRow) {
        self.put(RowKey::number(RowTable::Child, row.initiated_event_id));
        self.run.children.insert(row.initiated_event_id, Arc::new(row));
    }

    pub fn drop_child(&mut self, initiated_event_id: i64) {
        self.put(RowKey::number(RowTable::Child, initiated_event_id));
        self.run.children.remove(&initiated_event_id);
    }

    pub fn put_external(&mut self, row: ExternalRow) {
        self.put(RowKey::number(RowTable::External, row.initiated_event_id));
        self.count_external(row.cancel, 1);
        self.run.externals.insert(row.initiated_event_id, Arc::new(row));
    }

    pub fn drop_external(&mut self, initiated_event_id: i64) {
        self.put(RowKey::number(RowTable::External, initiated_event_id));
        if let Some(row) = self.run.externals.remove(&initiated_event_id) {
            self.count_external(row.cancel, -1);
        }
    }

    fn count_external(&mut self, cancel: bool, by: i32) {
        let core = &mut self.run.core;
        let count =
            if cancel { &mut core.cancel_external_pending } else { &mut core.signal_external_pending };
        *count = (*count + by).max(0);
    }

    pub fn put_update(&mut self, row: UpdateRow) {
        self.put(RowKey::text(RowTable::Update, &row.update_id));
        self.run.updates.insert(row.update_id.clone(), Arc::new(row));
    }

    pub fn drop_update(&mut self, update_id: &str) {
        self.put(RowKey::text(RowTable::Update, update_id));
        self.run.updates.remove(update_id);
    }

    pub fn put_request_id(&mut self, row: RequestIdRow) {
        self.put(RowKey::text(RowTable::RequestId, &row.request_id));
        self.run.request_ids.insert(row.request_id.clone(), Arc::new(row));
    }

    pub fn put_signal_id(&mut self, id: &str) {
        self.put(RowKey::text(RowTable::SignalId, id));
        self.run.signal_ids.insert(id.to_owned());
    }

    pub fn put_callback(&mut self, row: CallbackRow) {
        self.put(RowKey::number(RowTable::Callback, row.sequence));
        self.run.callbacks.insert(row.sequence, Arc::new(row));
    }

    pub fn put_attributes(&mut self, row: AttributesRow) {
        self.put(RowKey::single(RowTable::Attributes));
        self.visibility = true;
        self.run.attributes = Arc::new(row);
    }

    pub fn put_reset_points(&mut self, row: ResetPointsRow) {
        self.put(RowKey::single(RowTable::ResetPoints));
        self.run.reset_points = Arc::new(row);
    }

    /// All rows of a run that is new.
    pub fn put_everything(&mut self) {
        self.put(RowKey::single(RowTable::Start));
        self.put(RowKey::single(RowTable::Attributes));
        if !self.run.reset_points.points.is_empty() {
            self.put(RowKey::single(RowTable::ResetPoints));
        }
        self.visibility = true;
    }

    /// All rows of a run that came into being with more than a start.
    pub fn put_all_rows(&mut self) {
        self.put_everything();
        let run = &self.run;
        let numbered = [
            (RowTable::Activity, run.activities.keys().copied().collect::<Vec<i64>>()),
            (RowTable::Timer, run.timers.keys().copied().collect()),
            (RowTable::Child, run.children.keys().copied().collect()),
            (RowTable::External, run.externals.keys().copied().collect()),
            (RowTable::Callback, run.callbacks.keys().copied().collect()),
        ];
        let named = [
            (RowTable::Update, run.updates.keys().cloned().collect::<Vec<String>>()),
            (RowTable::RequestId, run.request_ids.keys().cloned().collect()),
            (RowTable::SignalId, run.signal_ids.iter().cloned().collect()),
        ];
        for (table, ids) in numbered {
            self.rows.extend(ids.into_iter().map(|id| RowKey::number(table, id)));
        }
        for (table, ids) in named {
            self.rows.extend(ids.iter().map(|id| RowKey::text(table, id)));
        }
    }

    pub fn queue(&self, name: &str, kind: QueueType) -> QueueKey {
        QueueKey { namespace: self.key.entity.namespace, name: Arc::from(name), kind }
    }

    fn task_key(&self, row: &QueuedRow, kind: QueueType) -> TaskKey {
        TaskKey {
            queue: self.queue(&row.queue, kind),
            priority: row.priority as u8,
            order: row.order,
            run: self.key.run,
        }
    }

    /// Puts a task into a queue; what it returns goes into the row of the thing that the task is for.
    pub fn enqueue(&mut self, env: &mut Env<'_>, queue: &str, kind: QueueType, task: NewTask) -> QueuedRow {
        let priority = task.priority.clone().or_else(|| self.priority());
        let level = match priority.as_ref().map_or(0, |priority| priority.priority_key) {
            0 => 3,
            key => key.clamp(1, 5) as u32,
        };
        let order = match task.sticky {
            // One worker's own queue: nobody is there to be fair to.
            true => env.ids.order(env.now),
            false => env.ids.place(&self.queue(queue, kind), level as u8, priority.as_ref(), env.now),
        };
        let row = QueuedRow { queue: queue.to_owned(), priority: level, order };
        self.tasks_added.push(Task {
            key: self.task_key(&row, kind),
            run: self.key.clone(),
            scheduled_event_id: task.scheduled_event_id,
            stamp: task.stamp,
            expires: task.expires,
            sticky: task.sticky,
            stored: task.stored,
            priority,
            created: Task::created(order, env.now),
        });
        row
    }

    /// The task is started, or void: its row goes.
    pub fn unqueue(&mut self, row: Option<&QueuedRow>, kind: QueueType) {
        if let Some(row) = row {
            let key = self.task_key(row, kind);
            self.tasks_finished.push(key);
        }
    }

    pub fn next_stamp(&mut self) -> i32 {
        self.run.core.stamps = self.run.core.stamps.wrapping_add(1);
        self.run.core.stamps
    }

    /// Puts a message into the outbox; its sequence.
    pub fn send(&mut self, to: EntityKey, to_run: &str, content: super::message::Content) -> i64 {
        let sequence = self.run.core.next_message;
        self.run.core.next_message += 1;
        self.durable = true;
        let body = super::message::Body { content: Some(content), to_run: to_run.to_owned() };
        self.messages.push(Message {
            from: self.key.clone(),
            to,
            sequence,
            body: Bytes::from(body.encode_to_vec()),
        });
        sequence
    }

    /// Takes a message back. One of this very step was never sent, which is what it returns; for an earlier one that
    /// may be too late.
    pub fn withdraw(&mut self, sequence: i64) -> bool {
        let before = self.messages.len();
        self.messages.retain(|message| message.sequence != sequence);
        if self.messages.len() < before {
            return true;
        }
        self.messages_done.push(sequence);
        false
    }

    pub fn answer(&mut self, to: CallerId, answer: Result<Reply, Reject>) {
        self.answers.push(Answer { to, answer });
    }

    /// The decision, with what a successor run adds.
    pub fn finish(mut self, reply: Result<Reply, Reject>) -> Decision {
        let mut decision = Decision::reply(Reply::Done);
        decision.reply = reply;
        let mut successor = self.successor.take();
        self.finish_into(&mut decision);
        while let Some(mut next) = successor {
            successor = next.successor.take();
            next.finish_into(&mut decision);
        }
        decision
    }

    fn finish_into(mut self, decision: &mut Decision) {
        // Without a started workflow task nothing has to wait; with one, what was buffered stays so.
        if self.run.started_task().is_none() {
            self.flush();
        }
        if self.durable {
            if self.run.core.transitions == 0 {
                self.run.core.state_bytes = self.rows.iter().map(|row| self.run.row_bytes(row) as i64).sum();
            }
            self.run.core.transitions += self.transitions;
        }
        let batches = std::mem::take(&mut self.batches)
            .into_iter()
            .filter(|batch| !batch.is_empty())
            .map(|events| Batch {
                first_event_id: events[0].event_id,
                events: events.len() as i64,
                encoded: Bytes::from(History { events }.encode_to_vec()),
            })
            .collect();
        decision
            .messages_done
            .extend(self.messages_done.iter().map(|sequence| (self.key.clone(), *sequence)));
        decision.branches_dropped.append(&mut self.branches_dropped);
        decision.runs.push(RunChange {
            key: self.key,
            durable: self.durable || self.deleted,
            next: (!self.deleted).then_some(crate::any::AnyRun::Workflow(std::sync::Arc::new(self.run))),
            rows: self.rows,
            batches,
            visibility: self.visibility,
        });
        decision.answers.append(&mut self.answers);
        decision.tasks_added.append(&mut self.tasks_added);
        decision.tasks_finished.append(&mut self.tasks_finished);
        decision.messages.append(&mut self.messages);
        decision.queries.append(&mut self.queries);
        decision.calls.append(&mut self.calls);
    }

    /// By how much the run's rows have grown since it was like this, in bytes.
    pub fn growth(&self, before: &Run) -> i64 {
        let growth = |row: &RowKey| self.run.row_bytes(row) as i64 - before.row_bytes(row) as i64;
        self.rows.iter().map(growth).sum()
    }

    /// The events that this step wrote.
    pub fn new_events(&self) -> impl Iterator<Item = &HistoryEvent> {
        self.batches.iter().flatten()
    }

    /// The event that this step wrote with this id, if it did.
    pub fn written(&self, id: i64) -> Option<&HistoryEvent> {
        self.batches.iter().flatten().find(|event| event.event_id == id)
    }
}

/// What a task in a queue says.
pub struct NewTask {
    pub scheduled_event_id: i64,
    pub stamp: i32,
    pub expires: Option<Time>,
    pub sticky: bool,
    pub stored: bool,
    pub priority: Option<Priority>,
}
