//! Bugs on purpose, to see whether the simulator finds them.
//!
//! Without the feature `planted`, which only the simulator's tests switch on, the question is a constant and nothing of
//! it is left in the program. With it a bug is planted for one thread: a simulation runs on one.

/// Each is written as what goes wrong; what a user loses by it is what the simulator has to notice.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Planted {
    /// Replies leave before their commit is durable.
    AcknowledgeBeforeCommit,
    /// Refusals leave before the commit that they were decided on.
    RefuseBeforeCommit,
    /// A commit does not arm its run's alarm.
    AlarmNotArmed,
    /// An alarm that could not be handled is not tried again.
    AlarmNotRetried,
    /// A process that takes over does not see alarms that came due while nobody served.
    OverdueAlarmLost,
    /// An activity task goes back to its queue although it was started, and may be started again.
    DispatchTwice,
    /// A commit under an old epoch is written.
    EpochNotChecked,
    /// Buffered events go with a workflow task that fails.
    BufferLost,
    /// The row of a task stays when the task is started.
    TaskRowKept,
    /// Timers fire up to a second before they are due.
    TimerEarly,
    /// What memory holds stays after a commit of which nobody knows whether it was written.
    MemoryKept,
    /// A repeated signal counts as a new one.
    SignalTwice,
    /// A signal of another workflow that is delivered once more counts as a new one.
    MessageTwice,
    /// After a commit of which nobody knows whether it was written, a queue does not look again at what it has passed.
    BacklogPassedOver,
    /// After such a commit nobody looks for its tasks.
    TaskForgotten,
    /// Messages to other runs are not sent.
    MessageDropped,
    /// A process that takes over does not send the messages that are left.
    OutboxNotRestored,
    /// After a commit of which nobody knows whether it was written, nobody looks for its messages.
    MessageForgotten,
    /// A start that is repeated is a new one.
    RequestIdForgotten,
    /// A workflow in whose place another is started goes on.
    ReplacedRunKept,
    /// An update that was accepted is sent to a worker once more when its caller repeats it.
    UpdateAcceptedTwice,
    /// A task that waits in a sticky queue waits for ever.
    StickyTimeoutLost,
    /// The attempts of an activity do not time out.
    ActivityTimeoutLost,
    /// A worker that was given up ends a later attempt than its own.
    StaleAttemptEnds,
    /// A parent is not told that its child closed.
    CloseNoticeLost,
    /// Children are not told that their parent closed.
    ParentCloseLost,
    /// A history goes with its run, although another shares it.
    BranchFreedEarly,
    /// Lists and counts are not told that a run closed.
    ListNotTold,
    /// Who is to be told how a run ended counts as told when the call begins.
    CallAssumed,
    /// What a batch operation does to a workflow is done again when its message comes again.
    BatchTwice,
}

impl Planted {
    /// The simulator has to find each of them.
    pub const ALL: [Planted; 30] = [
        Planted::AcknowledgeBeforeCommit,
        Planted::RefuseBeforeCommit,
        Planted::AlarmNotArmed,
        Planted::AlarmNotRetried,
        Planted::OverdueAlarmLost,
        Planted::DispatchTwice,
        Planted::EpochNotChecked,
        Planted::BufferLost,
        Planted::TaskRowKept,
        Planted::TimerEarly,
        Planted::MemoryKept,
        Planted::SignalTwice,
        Planted::MessageTwice,
        Planted::BacklogPassedOver,
        Planted::TaskForgotten,
        Planted::MessageDropped,
        Planted::OutboxNotRestored,
        Planted::MessageForgotten,
        Planted::RequestIdForgotten,
        Planted::ReplacedRunKept,
        Planted::UpdateAcceptedTwice,
        Planted::StickyTimeoutLost,
        Planted::ActivityTimeoutLost,
        Planted::StaleAttemptEnds,
        Planted::CloseNoticeLost,
        Planted::ParentCloseLost,
        Planted::BranchFreedEarly,
        Planted::ListNotTold,
        Planted::CallAssumed,
        Planted::BatchTwice,
    ];
}

#[cfg(feature = "planted")]
thread_local! {
    static PLANTED: std::cell::Cell<Option<Planted>> = const { std::cell::Cell::new(None) };
}

/// Plants a bug for this thread, or takes it out again.
#[cfg(feature = "planted")]
pub fn plant(bug: Option<Planted>) {
    PLANTED.set(bug);
}

#[cfg(feature = "planted")]
pub fn is_planted(bug: Planted) -> bool {
    PLANTED.get() == Some(bug)
}

#[cfg(not(feature = "planted"))]
#[inline(always)]
pub const fn is_planted(_: Planted) -> bool {
    false
}
