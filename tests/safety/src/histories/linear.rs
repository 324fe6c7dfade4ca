//! Is there an order of calls, each at one moment between its begin and its end, in which a sequential specification gives
//! every answer that was given?
//!
//! The search is that of Wing and Gong with the memory that Lowe added: what was put in order once, with the state that it
//! led to, is not tried again. There is a crate whose tester does this (stateright), but without that memory, so that a few
//! calls that never ended make it endless, and with a web server that cannot be left out.

use std::collections::HashSet;
use std::hash::Hash;

/// The end of a call that did not end: its effect may come at any time.
pub const NEVER: u64 = u64::MAX;

/// What the calls are held against.
pub trait Specification {
    type State: Clone + Eq + Hash;
    /// What was asked, and what was answered.
    type Step;

    fn begin(&self) -> Self::State;

    /// The state after the step; None if this is not how it could have been answered in this state.
    fn after(&self, state: &Self::State, step: &Self::Step) -> Option<Self::State>;
}

/// One call that took effect, with times of one clock.
#[derive(Clone, Debug)]
pub struct Call<Step> {
    pub step: Step,
    pub called: u64,
    pub returned: u64,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// There is such an order: places of calls.
    Linearizable(Vec<usize>),
    /// There is none. The longest beginning of one that was found: after it no call that could come next fits.
    Broken(Vec<usize>),
    /// Not decided in so many steps.
    TooHard,
}

/// Searches for an order, and gives up after so many steps.
pub fn check<S: Specification>(specification: &S, calls: &[Call<S::Step>], most_steps: usize) -> Verdict {
    let mut left = Left::new(calls);
    let mut ordered = Set::of(calls.len());
    let mut seen: HashSet<(Set, S::State)> = HashSet::new();
    let mut before: Vec<(usize, S::State)> = Vec::new();
    let mut state = specification.begin();
    let mut longest = Vec::new();
    let mut entry = left.first();
    let mut steps = 0;
    while let Some(place) = entry {
        steps += 1;
        if steps > most_steps {
            return Verdict::TooHard;
        }
        let (call, begins) = left.entries[place];
        if begins {
            if let Some(after) = specification.after(&state, &calls[call].step) {
                ordered.flip(call);
                if seen.insert((ordered.clone(), after.clone())) {
                    before.push((call, std::mem::replace(&mut state, after)));
                    left.take(call);
                    if before.len() > longest.len() {
                        longest = before.iter().map(|(call, _)| *call).collect();
                    }
                    entry = left.first();
                    continue;
                }
                ordered.flip(call);
            }
            entry = left.after(place);
        } else {
            // A call ended here that has not had its effect: what was chosen last was wrong.
            let Some((wrong, earlier)) = before.pop() else { return Verdict::Broken(longest) };
            state = earlier;
            ordered.flip(wrong);
            left.put_back(wrong);
            entry = left.after(left.begins[wrong]);
        }
    }
    Verdict::Linearizable(longest)
}

/// Begins and ends of the calls that have no place in the order yet, as a list that gives and takes in one step.
struct Left {
    /// Call, and whether this is where it begins.
    entries: Vec<(usize, bool)>,
    begins: Vec<usize>,
    ends: Vec<usize>,
    /// Places shifted by one: 0 is before the first and after the last.
    next: Vec<usize>,
    previous: Vec<usize>,
}

impl Left {
    fn new<Step>(calls: &[Call<Step>]) -> Left {
        let mut entries: Vec<(u64, bool, usize)> = Vec::new();
        for (index, call) in calls.iter().enumerate() {
            entries.push((call.called, false, index));
            entries.push((call.returned, true, index));
        }
        // At the same moment begins come first: such calls are taken to overlap.
        entries.sort_unstable();
        let (mut begins, mut ends) = (vec![0; calls.len()], vec![0; calls.len()]);
        for (place, (_, end, call)) in entries.iter().enumerate() {
            if *end { ends[*call] = place } else { begins[*call] = place }
        }
        let count = entries.len() + 1;
        Left {
            entries: entries.into_iter().map(|(_, end, call)| (call, !end)).collect(),
            begins,
            ends,
            next: (1..=count).map(|next| next % count).collect(),
            previous: (0..count).map(|place| (place + count - 1) % count).collect(),
        }
    }

    fn first(&self) -> Option<usize> {
        self.next[0].checked_sub(1)
    }

    fn after(&self, place: usize) -> Option<usize> {
        self.next[place + 1].checked_sub(1)
    }

    fn take(&mut self, call: usize) {
        for place in [self.begins[call] + 1, self.ends[call] + 1] {
            let (previous, next) = (self.previous[place], self.next[place]);
            self.next[previous] = next;
            self.previous[next] = previous;
        }
    }

    /// Undoes the last `take`.
    fn put_back(&mut self, call: usize) {
        for place in [self.ends[call] + 1, self.begins[call] + 1] {
            let (previous, next) = (self.previous[place], self.next[place]);
            self.next[previous] = place;
            self.previous[next] = place;
        }
    }
}

/// Calls that have a place in the order, a bit each.
#[derive(Clone, PartialEq, Eq, Hash)]
struct Set(Vec<u64>);

impl Set {
    fn of(count: usize) -> Set {
        Set(vec![0; count.div_ceil(64)])
    }

    fn flip(&mut self, call: usize) {
        self.0[call / 64] ^= 1 << (call % 64);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A place that is written and read, and a counter that tells what it was.
    struct Register;

    #[derive(Clone, Copy, Debug)]
    enum Step {
        Write(u8),
        Read(u8),
        Add(u8),
    }

    impl Specification for Register {
        type State = u8;
        type Step = Step;

        fn begin(&self) -> u8 {
            0
        }

        fn after(&self, state: &u8, step: &Step) -> Option<u8> {
            match *step {
                Step::Write(value) => Some(value),
                Step::Read(value) => (value == *state).then_some(value),
                Step::Add(was) => (was == *state).then(|| state.wrapping_add(1)),
            }
        }
    }

    fn call(step: Step, called: u64, returned: u64) -> Call<Step> {
        Call { step, called, returned }
    }

    fn is_linearizable(calls: &[Call<Step>]) -> bool {
        matches!(check(&Register, calls, 1_000_000), Verdict::Linearizable(_))
    }

    #[test]
    fn calls_that_overlap_may_have_happened_in_either_order() {
        let wrote = call(Step::Write(1), 0, 10);
        assert!(is_linearizable(&[wrote.clone(), call(Step::Read(0), 1, 2), call(Step::Read(1), 3, 4)]));
        assert!(!is_linearizable(&[wrote, call(Step::Read(1), 1, 2), call(Step::Read(0), 3, 4)]));
    }

    #[test]
    fn a_read_after_a_write_was_acknowledged_sees_it() {
        assert!(is_linearizable(&[call(Step::Write(1), 0, 1), call(Step::Read(1), 2, 3)]));
        assert!(!is_linearizable(&[call(Step::Write(1), 0, 1), call(Step::Read(0), 2, 3)]));
        let touching = [call(Step::Write(1), 0, 1), call(Step::Read(0), 1, 3)];
        assert!(is_linearizable(&touching), "what begins as the other ends overlaps it");
    }

    #[test]
    fn two_that_both_were_first_are_noticed() {
        assert!(is_linearizable(&[call(Step::Add(0), 0, 9), call(Step::Add(1), 0, 9)]));
        assert!(!is_linearizable(&[call(Step::Add(0), 0, 9), call(Step::Add(0), 0, 9)]));
    }

    #[test]
    fn what_never_returned_may_take_effect_late() {
        let late = call(Step::Write(1), 0, NEVER);
        let reads = [call(Step::Read(0), 5, 6), call(Step::Read(1), 7, 8)];
        assert!(is_linearizable(&[late.clone(), reads[0].clone(), reads[1].clone()]));
        assert!(!is_linearizable(&[late, call(Step::Read(1), 5, 6), call(Step::Read(0), 7, 8)]));
    }

    #[test]
    fn the_longest_beginning_says_where_it_breaks() {
        let calls = [call(Step::Write(1), 0, 1), call(Step::Read(1), 2, 3), call(Step::Read(0), 4, 5)];
        assert_eq!(check(&Register, &calls, 100), Verdict::Broken(vec![0, 1]));
        assert_eq!(check(&Register, &calls, 2), Verdict::TooHard);
    }

    /// All orders, one after the other.
    fn by_all_orders(calls: &[Call<Step>], state: u8, left: &mut Vec<usize>) -> bool {
        if left.is_empty() {
            return true;
        }
        let first_end = left.iter().map(|index| calls[*index].returned).min().unwrap_or(NEVER);
        for at in 0..left.len() {
            let index = left.remove(at);
            let fits = calls[index].called <= first_end;
            let after = Register.after(&state, &calls[index].step).filter(|_| fits);
            let found = after.is_some_and(|after| by_all_orders(calls, after, left));
            left.insert(at, index);
            if found {
                return true;
            }
        }
        false
    }

    #[test]
    fn it_says_the_same_as_trying_all_orders() {
        let mut random = fastrand::Rng::with_seed(5);
        let mut broken = 0;
        for _ in 0..3_000 {
            let calls: Vec<_> = (0..random.usize(1..7))
                .map(|_| {
                    let value = random.u8(..3);
                    let step = match random.u8(..3) {
                        0 => Step::Write(value),
                        1 => Step::Read(value),
                        _ => Step::Add(value),
                    };
                    let called = random.u64(..12);
                    let returned = if random.u8(..8) == 0 { NEVER } else { called + random.u64(..6) };
                    call(step, called, returned)
                })
                .collect();
            let expected = by_all_orders(&calls, 0, &mut (0..calls.len()).collect());
            assert_eq!(is_linearizable(&calls), expected, "{calls:?}");
            broken += usize::from(!expected);
        }
        assert!((500..2_500).contains(&broken), "{broken} of 3,000 are broken: that shows little");
    }
}
