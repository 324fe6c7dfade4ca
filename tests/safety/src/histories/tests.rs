//! Histories made by hand: those that a server may give, and what each kind of fault would look like.

use super::linear::NEVER;
use super::model::{Act, Answer, Mark, RunId, Status, Told};
use super::record::{Operation, check};
use steadfast_api::v1::enums::{WorkflowIdConflictPolicy as Conflict, WorkflowIdReusePolicy as Reuse};

fn run(number: u128) -> RunId {
    RunId::from_u128(number)
}

fn from_to(called: u64, returned: u64, act: Act, answer: Answer) -> Operation {
    Operation { act, answer: Some(answer), called, returned }
}

fn lost(called: u64, act: Act) -> Operation {
    Operation { act, answer: None, called, returned: NEVER }
}

fn start(mark: Mark) -> Act {
    Act::Start { mark, request: mark, conflict: Conflict::Fail, reuse: Reuse::AllowDuplicate }
}

fn start_by(mark: Mark, conflict: Conflict, reuse: Reuse) -> Act {
    Act::Start { mark, request: mark, conflict, reuse }
}

fn signal(mark: Mark) -> Act {
    Act::Signal { run: None, request: mark, mark }
}

fn update(mark: Mark) -> Act {
    Act::Update { id: mark, mark }
}

fn terminate(mark: Mark) -> Act {
    Act::Terminate { run: None, mark }
}

fn read(run: Option<RunId>) -> Act {
    Act::History { run }
}

fn told(number: u128, status: Status, closed_by: Option<Mark>, log: &[Mark]) -> Answer {
    Answer::History(Told { run: run(number), status, closed_by, log: log.to_vec(), task_out: false })
}

fn open(number: u128, log: &[Mark]) -> Answer {
    told(number, Status::Open, None, log)
}

/// While a worker has a task.
fn busy(number: u128, log: &[Mark]) -> Answer {
    match open(number, log) {
        Answer::History(told) => Answer::History(Told { task_out: true, ..told }),
        other => other,
    }
}

/// One after the other, from this time on.
fn in_turn(from: u64, calls: Vec<(Act, Answer)>) -> Vec<Operation> {
    let times = (from..).step_by(2);
    times.zip(calls).map(|(time, (act, answer))| from_to(time, time + 1, act, answer)).collect()
}

/// The end of every history: run 1 is terminated by 99 with this log, and read.
fn end(log: &[Mark]) -> Vec<Operation> {
    let last = told(1, Status::Terminated, Some(99), log);
    in_turn(1_000, vec![(terminate(99), Answer::Done), (read(Some(run(1))), last)])
}

fn holds(calls: Vec<Operation>) -> bool {
    check("w", calls).wrong.is_none()
}

/// Run 1 is started by mark 1, then this happens, and in the end its log is that.
fn with(calls: Vec<Operation>, log: &[Mark]) -> bool {
    holds([vec![from_to(0, 1, start(1), Answer::Started(run(1)))], calls, end(log)].concat())
}

#[test]
fn an_acknowledged_signal_that_is_gone_is_found() {
    let signalled = from_to(10, 11, signal(2), Answer::Done);
    assert!(with(vec![signalled.clone()], &[1, 2]));
    assert!(!with(vec![signalled.clone()], &[1]), "lost");
    assert!(!with(vec![signalled], &[1, 2, 2]), "twice");
}

#[test]
fn signals_are_in_the_order_of_their_acknowledgements() {
    let one_by_one = in_turn(10, vec![(signal(2), Answer::Done), (signal(3), Answer::Done)]);
    assert!(with(one_by_one.clone(), &[1, 2, 3]));
    assert!(!with(one_by_one, &[1, 3, 2]));
    let at_once = vec![from_to(10, 20, signal(2), Answer::Done), from_to(11, 19, signal(3), Answer::Done)];
    assert!(with(at_once, &[1, 3, 2]));
}

#[test]
fn a_request_made_twice_counts_once() {
    let twice = |second| {
        let again = Act::Signal { run: None, request: 2, mark: 3 };
        in_turn(10, vec![(signal(2), Answer::Done), (again, second)])
    };
    assert!(with(twice(Answer::Done), &[1, 2]));
    assert!(!with(twice(Answer::Done), &[1, 2, 3]), "both were taken");
    assert!(!with(twice(Answer::NotFound), &[1, 2]));
}

#[test]
fn two_starts_that_both_succeed_are_found() {
    let both = |second: Answer| {
        let last = told(2, Status::Terminated, Some(99), &[2]);
        let mut calls =
            vec![from_to(0, 10, start(1), Answer::Started(run(1))), from_to(1, 9, start(2), second)];
        calls.extend(end(&[1]));
        calls.extend(in_turn(2_000, vec![(read(Some(run(2))), last)]));
        calls
    };
    assert!(!holds(both(Answer::Started(run(2)))));
    // The second is refused because of the first, whichever was asked first.
    let mut refused = both(Answer::AlreadyExists(run(1)));
    refused.pop();
    assert!(holds(refused));
}

#[test]
fn policies_say_who_is_refused() {
    let again = |policy: (Conflict, Reuse), answer| {
        with(vec![from_to(10, 11, start_by(2, policy.0, policy.1), answer)], &[1])
    };
    let (one, other) = (run(1), run(2));
    assert!(again((Conflict::UseExisting, Reuse::RejectDuplicate), Answer::Existing(one)));
    assert!(!again((Conflict::UseExisting, Reuse::RejectDuplicate), Answer::Existing(other)));
    assert!(!again((Conflict::Fail, Reuse::AllowDuplicate), Answer::Existing(one)));
    // After its end.
    let late = |reuse, answer| {
        let mut calls = vec![from_to(0, 1, start(1), Answer::Started(one))];
        calls.extend(end(&[1]));
        calls.push(from_to(2_000, 2_001, start_by(2, Conflict::Fail, reuse), answer));
        holds(calls)
    };
    assert!(late(Reuse::RejectDuplicate, Answer::AlreadyExists(one)));
    assert!(!late(Reuse::AllowDuplicateFailedOnly, Answer::AlreadyExists(one)), "it was terminated");
    assert!(!late(Reuse::AllowDuplicate, Answer::AlreadyExists(one)));
}

#[test]
fn a_read_after_an_acknowledged_write_sees_it() {
    let then = |act, answer| {
        with(vec![from_to(10, 11, signal(2), Answer::Done), from_to(12, 13, act, answer)], &[1, 2])
    };
    assert!(then(read(None), open(1, &[1, 2])));
    assert!(!then(read(None), open(1, &[1])), "a stale history");
    assert!(then(Act::Query, Answer::Log(vec![1, 2])));
    assert!(!then(Act::Query, Answer::Log(vec![1])), "a stale query");
    assert!(!then(Act::Describe, Answer::NotFound));
    assert!(!then(Act::Describe, Answer::Described(run(1), Status::Completed)));
    assert!(!then(Act::List, Answer::Listed(vec![])), "a stale list");
}

#[test]
fn what_waits_for_a_task_is_shown_later_but_not_taken_back() {
    let reads = |first, second| {
        let reads = vec![(signal(2), Answer::Done), (read(None), first), (read(None), second)];
        with(in_turn(10, reads), &[1, 2])
    };
    assert!(reads(busy(1, &[1]), open(1, &[1, 2])));
    assert!(!reads(open(1, &[1, 2]), busy(1, &[1])));
}

#[test]
fn an_update_answers_what_was_before_it() {
    let updated = |called, answer: &[Mark]| {
        let calls = vec![
            from_to(10, 11, signal(2), Answer::Done),
            from_to(called, 30, update(3), Answer::Log(answer.to_vec())),
        ];
        with(calls, if answer.contains(&2) { &[1, 2, 3] } else { &[1, 3, 2] })
    };
    assert!(updated(12, &[1, 2, 3]));
    assert!(!updated(12, &[1, 3]), "the signal was acknowledged before");
    assert!(updated(5, &[1, 3]), "it was under way when the signal came");
}

#[test]
fn an_update_whose_result_is_gone_is_found() {
    let answered = || from_to(10, 11, update(2), Answer::Log(vec![1, 2]));
    assert!(with(vec![answered()], &[1, 2]));
    assert!(!with(vec![answered()], &[1]));
    let twice = |answer: &[Mark]| {
        let again = Act::Update { id: 2, mark: 3 };
        vec![answered(), from_to(12, 13, again, Answer::Log(answer.to_vec()))]
    };
    assert!(with(twice(&[1, 2]), &[1, 2]));
    assert!(!with(twice(&[1, 2, 3]), &[1, 2, 3]), "the same update ran twice");
}

#[test]
fn an_update_that_is_answered_before_it_is_asked_for_is_found() {
    // It was seen by a query that ended before.
    let calls = |queried| {
        vec![
            from_to(10, 11, Act::Query, Answer::Log(queried)),
            from_to(12, 20, update(2), Answer::Log(vec![1, 2])),
        ]
    };
    assert!(with(calls(vec![1]), &[1, 2]));
    assert!(!with(calls(vec![1, 2]), &[1, 2]));
}

#[test]
fn nothing_is_done_to_a_closed_run() {
    let after = |act, answer| {
        let mut calls = vec![from_to(0, 1, start(1), Answer::Started(run(1)))];
        calls.extend(end(&[1]));
        calls.push(from_to(2_000, 2_001, act, answer));
        holds(calls)
    };
    for act in [signal(2), update(2), terminate(2)] {
        assert!(after(act.clone(), Answer::NotFound));
        assert!(!after(act, Answer::Done));
    }
    assert!(!after(read(None), open(1, &[1])), "it is open again");
}

#[test]
fn a_run_is_not_completed_over_a_signal_that_its_worker_has_not_seen() {
    let completed = |seen: &[Mark]| {
        let calls = vec![
            (start(1), Answer::Started(run(1))),
            (signal(2), Answer::Done),
            (Act::Complete { run: run(1), mark: 3, seen: seen.to_vec() }, Answer::Done),
            (read(Some(run(1))), told(1, Status::Completed, Some(3), &[1, 2])),
        ];
        holds(in_turn(0, calls))
    };
    assert!(completed(&[1, 2]));
    assert!(!completed(&[1]));
}

#[test]
fn a_call_without_an_answer_may_have_been_done_or_not_but_not_undone() {
    assert!(with(vec![lost(10, signal(2))], &[1]));
    assert!(with(vec![lost(10, signal(2))], &[1, 2]));
    let reads = |first, second| {
        let reads = in_turn(12, vec![(read(None), first), (read(None), second)]);
        with([vec![lost(10, signal(2))], reads].concat(), &[1, 2])
    };
    assert!(reads(open(1, &[1]), open(1, &[1, 2])), "done late");
    assert!(!reads(open(1, &[1, 2]), open(1, &[1])), "done and undone");
    assert!(!with(vec![from_to(5, 6, read(None), open(1, &[1, 2])), lost(10, signal(2))], &[1, 2]));
}

#[test]
fn a_run_that_a_start_replaced_is_closed() {
    let calls = |between: (Act, Answer)| {
        let replace = start_by(2, Conflict::TerminateExisting, Reuse::AllowDuplicate);
        in_turn(
            0,
            vec![
                (start(1), Answer::Started(run(1))),
                (replace, Answer::Started(run(2))),
                between,
                (terminate(99), Answer::Done),
                (read(Some(run(1))), told(1, Status::Terminated, None, &[1])),
                (read(Some(run(2))), told(2, Status::Terminated, Some(99), &[2])),
            ],
        )
    };
    let listed = |first| Answer::Listed(vec![(run(2), Status::Open), (run(1), first)]);
    assert!(holds(calls((Act::List, listed(Status::Terminated)))));
    assert!(!holds(calls((Act::List, listed(Status::Open)))), "two are open");
    let to_first = Act::Signal { run: Some(run(1)), request: 3, mark: 3 };
    assert!(holds(calls((to_first.clone(), Answer::NotFound))));
    assert!(!holds(calls((to_first, Answer::Done))));
}

/// A history with every kind of call, and each of its answers changed in every way that comes to mind.
#[test]
fn no_answer_of_a_history_can_be_another() {
    let (one, two) = (run(1), run(2));
    let good = in_turn(
        0,
        vec![
            (Act::Describe, Answer::NotFound),
            (signal(50), Answer::NotFound),
            (start(1), Answer::Started(one)),
            (start(3), Answer::AlreadyExists(one)),
            (Act::SignalWithStart { mark: 4, signal: 5 }, Answer::Existing(one)),
            (signal(6), Answer::Done),
            (update(7), Answer::Log(vec![1, 5, 6, 7])),
            (Act::Query, Answer::Log(vec![1, 5, 6, 7])),
            (read(None), open(1, &[1, 5, 6, 7])),
            (Act::Describe, Answer::Described(one, Status::Open)),
            (Act::Complete { run: one, mark: 8, seen: vec![1, 5, 6, 7] }, Answer::Done),
            (Act::List, Answer::Listed(vec![(one, Status::Completed)])),
            (start_by(9, Conflict::Fail, Reuse::AllowDuplicateFailedOnly), Answer::AlreadyExists(one)),
            (Act::SignalWithStart { mark: 10, signal: 11 }, Answer::Started(two)),
            (read(Some(one)), told(1, Status::Completed, Some(8), &[1, 5, 6, 7])),
            (Act::Terminate { run: Some(one), mark: 12 }, Answer::NotFound),
            (Act::List, Answer::Listed(vec![(two, Status::Open), (one, Status::Completed)])),
            (terminate(13), Answer::Done),
            (read(Some(one)), told(1, Status::Completed, Some(8), &[1, 5, 6, 7])),
            (read(Some(two)), told(2, Status::Terminated, Some(13), &[10, 11])),
        ],
    );
    assert_eq!(check("w", good.clone()).wrong, None);
    let mut tried = 0;
    for place in 0..good.len() {
        for other in others(good[place].answer.as_ref().expect("all were answered")) {
            let mut bad = good.clone();
            bad[place].answer = Some(other);
            assert!(check("w", bad.clone()).wrong.is_some(), "{:?}", bad[place]);
            tried += 1;
        }
    }
    assert!(tried > 50, "only {tried} were tried");
}

/// Answers that are not this one.
fn others(answer: &Answer) -> Vec<Answer> {
    let stranger = run(7);
    let shorter = |log: &Vec<Mark>| log[..log.len() - 1].to_vec();
    let mut all = vec![Answer::Done, Answer::NotFound, Answer::Started(stranger), Answer::Existing(stranger)];
    match answer {
        Answer::Started(run) => all.extend([Answer::Existing(*run), Answer::AlreadyExists(*run)]),
        Answer::Existing(run) | Answer::AlreadyExists(run) => all.push(Answer::Started(*run)),
        Answer::Log(log) => {
            let swapped = log.iter().rev().copied().collect();
            all.extend([Answer::Log(shorter(log)), Answer::Log(swapped), Answer::Log(vec![])]);
        }
        Answer::Described(run, _) => {
            all.extend([
                Answer::Described(stranger, Status::Open),
                Answer::Described(*run, Status::Terminated),
            ]);
        }
        Answer::History(told) => {
            let but = |change: &dyn Fn(&mut Told)| {
                let mut other = told.clone();
                change(&mut other);
                Answer::History(other)
            };
            all.extend([
                but(&|told| told.log = shorter(&told.log)),
                but(&|told| told.log.push(60)),
                but(&|told| told.status = Status::Other(3)),
                but(&|told| told.run = stranger),
            ]);
        }
        Answer::Listed(runs) => {
            all.push(Answer::Listed(runs[1..].to_vec()));
            all.push(Answer::Listed(runs.iter().map(|(run, _)| (*run, Status::Terminated)).collect()));
            all.push(Answer::Listed([runs.clone(), vec![(stranger, Status::Open)]].concat()));
        }
        Answer::Done | Answer::NotFound => {}
    }
    all.retain(|other| other != answer);
    all
}
