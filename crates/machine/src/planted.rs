//! Bugs on purpose, to see whether the simulator finds them.
//!
//! Without the feature `planted`, which only the simulator's tests switch on, the question is a constant and nothing of
//! it is left in the program. With it a bug is planted for one thread: a simulation runs on one.

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Planted {
    /// Replies leave before their commit is durable.
    AcknowledgeBeforeCommit,
    /// Refusals leave before the commit that they were decided on.
    RefuseBeforeCommit,
    /// A commit does not arm its run's alarm.
    AlarmNotArmed,
    /// An alarm that could not be handled is not tried again. Not in `ALL`: 250 seeds did not find it, as memory reads
    /// alarms again within a minute.
    AlarmNotRetried,
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
    /// After such a commit a queue does not look again at what it has passed. Not in `ALL`: 250 seeds did not find it.
    BacklogPassedOver,
    /// Messages to other runs are not sent.
    MessageDropped,
}

impl Planted {
    /// Those that the simulator has to find.
    pub const ALL: [Planted; 11] = [
        Planted::AcknowledgeBeforeCommit,
        Planted::RefuseBeforeCommit,
        Planted::AlarmNotArmed,
        Planted::DispatchTwice,
        Planted::EpochNotChecked,
        Planted::BufferLost,
        Planted::TaskRowKept,
        Planted::TimerEarly,
        Planted::MemoryKept,
        Planted::SignalTwice,
        Planted::MessageDropped,
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
