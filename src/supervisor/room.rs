//! Who gets room where all apps together may have only so much: those that have been idle the longest make way first.

use crate::config::file::Most;
use std::time::{Duration, Instant};

/// How long an app keeps its last worker while others wait for room, though it is busy.
const TURN: Duration = Duration::from_secs(10);

/// An app as far as room goes.
#[derive(Clone, Debug)]
pub struct Place {
    /// Workers that it has or may have: 0 without a server.
    pub workers: usize,
    /// Workers that are to end, and have not.
    pub leaving: usize,
    /// It has these whether or not there is something to do.
    pub least: usize,
    /// Without a request since then; none while it has some.
    pub idle_since: Option<Instant>,
    pub ready_since: Option<Instant>,
    pub memory: u64,
    /// What it asks for: a server, since when; or one more worker.
    pub asks_since: Option<Instant>,
    pub wants_more: bool,
    /// It does not serve what a new start would: it is not ended for room.
    pub is_kept: bool,
}

#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Step {
    /// These may start.
    Start(usize),
    /// One more worker for it.
    Grow(usize),
    /// One fewer for it.
    Shrink(usize),
    /// It ends, to start again with its next request.
    End(usize),
}

/// What is done now so that those that wait get room, whoever has waited longest first. As long as that one has none,
/// nobody else gets any.
pub fn steps(most: Most, places: &[Place], now: Instant) -> Vec<Step> {
    let taken: usize = places.iter().map(|place| place.workers + place.leaving).sum();
    let mut free = most.workers.saturating_sub(taken);
    let coming: usize = places.iter().map(|place| place.leaving).sum();
    let is_full = places.iter().fold(0u64, |sum, place| sum.saturating_add(place.memory)) >= most.memory;
    let mut steps = Vec::new();
    for at in waiting(places) {
        let is_start = places[at].workers == 0;
        let need = if is_start { places[at].least.max(1) } else { 1 };
        if free >= need && !is_full {
            free -= need;
            steps.push(if is_start { Step::Start(at) } else { Step::Grow(at) });
            continue;
        }
        if free + coming < need || (is_full && coming == 0) {
            steps.extend(room_for(at, places, now));
        }
        return steps;
    }
    if is_full && coming == 0 {
        steps.extend(idle(places).map(Step::End));
    }
    steps
}

/// Those that ask for something, in the order in which they get it: who has nothing goes first.
fn waiting(places: &[Place]) -> Vec<usize> {
    let asks = |at: &usize| places[*at].asks_since.is_some() && places[*at].workers == 0;
    let mut starts: Vec<_> = (0..places.len()).filter(asks).collect();
    starts.sort_by_key(|at| places[*at].asks_since);
    let more = |at: &usize| places[*at].wants_more && places[*at].workers > 0;
    let mut growing: Vec<_> = (0..places.len()).filter(more).collect();
    growing.sort_by_key(|at| places[*at].workers);
    starts.into_iter().chain(growing).collect()
}

/// Who makes room for this one.
fn room_for(at: usize, places: &[Place], now: Instant) -> Option<Step> {
    let is_start = places[at].workers == 0;
    let own = places[at].workers;
    let largest = (0..places.len())
        .filter(|other| places[*other].workers > places[*other].least.max(own + 1))
        .max_by_key(|other| places[*other].workers);
    // One that starts has not had its turn yet.
    let has_had_turn = |place: &Place| place.ready_since.is_some_and(|since| now.duration_since(since) >= TURN);
    let turn_is_over = |other: &usize| is_start && may_end(&places[*other]) && has_had_turn(&places[*other]);
    idle(places).map(Step::End).or(largest.map(Step::Shrink)).or_else(|| {
        (0..places.len()).filter(turn_is_over).min_by_key(|other| places[*other].ready_since).map(Step::End)
    })
}

/// Who has been idle the longest.
fn idle(places: &[Place]) -> Option<usize> {
    let may = |at: &usize| may_end(&places[*at]) && places[*at].idle_since.is_some();
    (0..places.len()).filter(may).min_by_key(|at| places[*at].idle_since)
}

fn may_end(place: &Place) -> bool {
    place.workers > 0 && place.least == 0 && !place.is_kept
}

#[cfg(test)]
mod tests {
    use super::*;

    const MOST: Most = Most { workers: 4, memory: u64::MAX };

    fn second(n: u64) -> Instant {
        static BEGIN: std::sync::OnceLock<Instant> = std::sync::OnceLock::new();
        *BEGIN.get_or_init(Instant::now) + Duration::from_secs(n)
    }

    fn busy(workers: usize) -> Place {
        Place {
            workers,
            leaving: 0,
            least: 0,
            idle_since: None,
            ready_since: Some(second(0)),
            memory: 10,
            asks_since: None,
            wants_more: false,
            is_kept: false,
        }
    }

    fn idle(since: u64) -> Place {
        Place { idle_since: Some(second(since)), ..busy(1) }
    }

    fn asking(since: u64) -> Place {
        Place { asks_since: Some(second(since)), memory: 0, ..busy(0) }
    }

    fn growing(workers: usize) -> Place {
        Place { wants_more: true, ..busy(workers) }
    }

    #[test]
    fn with_room_everybody_gets_what_they_ask_for() {
        assert_eq!(steps(MOST, &[busy(1), asking(2), growing(1)], second(3)), [Step::Start(1), Step::Grow(2)]);
        assert_eq!(steps(Most::UNLIMITED, &[busy(1000), asking(2)], second(3)), [Step::Start(1)]);
        assert!(steps(MOST, &[busy(2), idle(1)], second(3)).is_empty());
    }

    #[test]
    fn who_has_waited_longest_starts_first_and_nobody_grows_before() {
        assert_eq!(
            steps(MOST, &[busy(3), growing(0), asking(2), asking(1)], second(3)),
            [Step::Start(3), Step::Shrink(0)]
        );
    }

    #[test]
    fn the_least_recently_used_idle_app_makes_way() {
        let mut places = vec![idle(5), idle(3), idle(4), busy(1), asking(6)];
        assert_eq!(steps(MOST, &places, second(7)), [Step::End(1)]);
        // It is asked for once.
        places[1] = Place { leaving: 1, ..busy(0) };
        assert!(steps(MOST, &places, second(8)).is_empty());
    }

    #[test]
    fn an_app_that_always_has_workers_is_not_ended() {
        let kept = Place { is_kept: true, ..idle(1) };
        let always = Place { least: 1, ..idle(1) };
        assert!(steps(MOST, &[kept, always, busy(1), busy(1), asking(1)], second(5)).is_empty());
    }

    #[test]
    fn who_has_most_gives_to_who_has_least() {
        assert_eq!(steps(MOST, &[busy(3), growing(1)], second(1)), [Step::Shrink(0)]);
        assert_eq!(steps(MOST, &[busy(2), growing(2)], second(1)), [], "that would only move the want");
        let shrinking = Place { workers: 2, leaving: 1, ..busy(0) };
        assert_eq!(steps(MOST, &[shrinking, growing(1)], second(1)), [], "it has been asked already");
        assert_eq!(steps(MOST, &[busy(4), asking(0)], second(1)), [Step::Shrink(0)]);
    }

    #[test]
    fn busy_apps_take_turns() {
        let late = Place { ready_since: Some(second(4)), ..busy(1) };
        let places = [late.clone(), busy(1), late.clone(), late, asking(5)];
        assert_eq!(steps(MOST, &places, second(9)), []);
        assert_eq!(steps(MOST, &places, second(10)), [Step::End(1)]);
        let starting = Place { ready_since: None, ..busy(1) };
        assert_eq!(steps(Most { workers: 1, ..MOST }, &[starting, asking(0)], second(60)), []);
    }

    #[test]
    fn memory_counts_too() {
        let most = Most { workers: 100, memory: 30 };
        assert_eq!(steps(most, &[busy(1), busy(1), asking(1)], second(1)), [Step::Start(2)]);
        assert_eq!(steps(most, &[busy(1), idle(1), busy(1), asking(1)], second(1)), [Step::End(1)]);
        assert_eq!(steps(most, &[busy(1), idle(1), busy(1)], second(1)), [Step::End(1)], "also if nobody waits");
        assert_eq!(steps(most, &[busy(1), busy(1), busy(1)], second(1)), []);
    }

    /// Whatever there is: nobody gets what is not free, and following the steps serves everybody in the end.
    #[test]
    fn nobody_starves_and_nothing_is_exceeded() {
        let mut random = 7u64;
        let mut next = |below: usize| {
            random = random.wrapping_mul(6364136223846793005).wrapping_add(1442695040888963407);
            (random >> 33) as usize % below
        };
        for _ in 0..300 {
            let count = 1 + next(12);
            let most = Most { workers: 1 + next(6), memory: u64::MAX };
            let mut places: Vec<Place> = (0..count).map(|_| asking(next(5) as u64)).collect();
            let mut served = vec![false; count];
            for round in 5..5 + 12 * 25 {
                for step in steps(most, &places, second(round)) {
                    match step {
                        Step::Start(at) => {
                            places[at] =
                                Place { ready_since: Some(second(round)), wants_more: next(2) == 0, ..busy(1) };
                            served[at] = true;
                        }
                        Step::Grow(at) => places[at].workers += 1,
                        Step::Shrink(at) => places[at].workers -= 1,
                        // Still wanted.
                        Step::End(at) => places[at] = asking(round),
                    }
                }
                assert!(places.iter().map(|place| place.workers).sum::<usize>() <= most.workers);
            }
            assert!(served.iter().all(|served| *served), "{most:?} {places:?}");
        }
    }
}
