//! Turns, under a clock that stands where it is put. A future is polled by hand: it is ready or it waits.

use std::pin::{Pin, pin};
use std::task::{Context, Poll, Waker};

use super::*;
use crate::cache::clock::turned::Turned;

fn budget(rate: Option<&str>) -> (Budget, Arc<Turned>) {
    let clock = Arc::new(Turned::default());
    let rate = rate.map(|text| {
        let (calls, seconds) = text.split_once('/').unwrap();
        Rate::new(calls.parse().unwrap(), seconds_of(seconds.parse().unwrap())).unwrap()
    });
    clock.turn(seconds_of(1000));
    (Budget::new(ScopeName::new("prod").unwrap(), rate, clock.clone()), clock)
}

fn seconds_of(seconds: u64) -> Duration {
    Duration::from_secs(seconds)
}

fn poll<F: Future>(future: Pin<&mut F>) -> Option<F::Output> {
    match future.poll(&mut Context::from_waker(Waker::noop())) {
        Poll::Ready(output) => Some(output),
        Poll::Pending => None,
    }
}

/// A turn that is there at once.
fn at_once(budget: &Budget) -> Option<Result<Turn<'_>, Error>> {
    poll(pin!(budget.turn(About::Values, seconds_of(3))))
}

fn throttle(budget: &Budget, retry_after: Option<u64>) {
    let error = Error { retry_after: retry_after.map(seconds_of), ..Error::new(ErrorKind::Throttled, "test") };
    at_once(budget).unwrap().unwrap().ended::<()>(&Err(error));
}

#[test]
fn within_the_limit_nobody_waits_and_past_it_each_waits_for_a_call_of_its_own() {
    let (budget, clock) = budget(Some("40/1"));
    for _ in 0..40 {
        at_once(&budget).unwrap().unwrap().ended(&Ok(()));
    }
    let mut first = Box::pin(budget.turn(About::Values, seconds_of(3)));
    let mut second = Box::pin(budget.turn(About::Values, seconds_of(3)));
    assert!(poll(first.as_mut()).is_none() && poll(second.as_mut()).is_none());
    clock.turn(Duration::from_millis(25));
    assert!(poll(first.as_mut()).unwrap().is_ok(), "the first to come is the first to go");
    assert!(poll(second.as_mut()).is_none());
    clock.turn(Duration::from_millis(25));
    assert!(poll(second.as_mut()).unwrap().is_ok());
}

#[test]
fn who_would_wait_longer_than_he_may_is_told_so_at_once_and_takes_no_call_from_others() {
    let (budget, clock) = budget(Some("10/10"));
    let mut waiting: Vec<_> = (0..13).map(|_| Box::pin(budget.turn(About::Values, seconds_of(3)))).collect();
    let ready = waiting.iter_mut().filter_map(|turn| poll(turn.as_mut())).filter(Result::is_ok).count();
    assert_eq!(ready, 10, "three wait for the next three seconds");
    for _ in 0..1000 {
        let error = at_once(&budget).unwrap().err().unwrap();
        assert_eq!(error.kind, ErrorKind::Throttled);
        assert!(error.detail.contains("calls = \"10/10s\""), "{}", error.detail);
        assert_eq!(error.retry_after, Some(seconds_of(1)));
    }
    assert_eq!(budget.report().refused, 1000);
    clock.turn(seconds_of(13));
    assert_eq!(budget.report().left, Some(10), "refusals cost nothing");
}

#[test]
fn whoever_comes_in_whatever_order_the_calls_stay_within_the_limit() {
    let (budget, clock) = budget(Some("20/1"));
    let (mut waiting, mut made) = (Vec::new(), Vec::new());
    for tick in 0..2000_u32 {
        for _ in 0..(tick * 7919) % 5 {
            waiting.push(Box::pin(budget.turn(About::Values, Duration::from_millis(u64::from(tick % 40) * 100))));
        }
        waiting.retain_mut(|turn| match poll(turn.as_mut()) {
            None => true,
            Some(Ok(_)) => {
                made.push(clock.now());
                false
            }
            Some(Err(_)) => false,
        });
        clock.turn(Duration::from_millis(10));
    }
    assert!(budget.report().refused > 0);
    for (index, from) in made.iter().enumerate() {
        let within = made[index..].iter().take_while(|at| **at - *from < seconds_of(1)).count();
        assert!(within <= 41, "{within} calls in the second from {from:?}");
    }
    // And none is lost: 20 at first, and 20 for each of the 20 seconds.
    assert!((410..=421).contains(&made.len()), "{}", made.len());
}

#[test]
fn while_the_provider_wants_a_pause_nobody_calls_and_who_can_wait_for_its_end_does() {
    let (budget, clock) = budget(None);
    throttle(&budget, Some(2));
    let mut patient = Box::pin(budget.turn(About::Values, seconds_of(3)));
    assert!(poll(patient.as_mut()).is_none());
    let error = poll(pin!(budget.turn(About::Values, seconds_of(1)))).unwrap().err().unwrap();
    assert_eq!(error.kind, ErrorKind::Throttled);
    assert!(error.detail.contains("no call before 1970-01-01T00:16:42"), "{}", error.detail);
    assert!(error.retry_after >= Some(seconds_of(2)));
    assert!(budget.report().throttled_until.is_some());
    clock.turn(Duration::from_millis(1990));
    assert!(poll(patient.as_mut()).is_none());
    // With the quarter that the dice may add.
    clock.turn(Duration::from_millis(510));
    assert!(poll(patient.as_mut()).unwrap().is_ok());
    assert_eq!(budget.report().throttled_until, None);
}

#[test]
fn another_rate_is_no_way_round_a_pause_that_the_provider_wants() {
    let (budget, clock) = budget(Some("10/10"));
    throttle(&budget, Some(60));
    let budget = budget.at(Some(Rate::new(1000, seconds_of(1)).unwrap()));
    assert!(at_once(&budget).unwrap().is_err() && !budget.has_spare(About::Values));
    clock.turn(seconds_of(75));
    let first = at_once(&budget).unwrap().unwrap();
    assert!(at_once(&budget).is_none(), "one goes first");
    first.ended(&Ok(()));
    assert_eq!(budget.report().rate, Rate::new(1000, seconds_of(1)));
}

#[test]
fn a_year_of_silence_is_not_kept() {
    let (budget, clock) = budget(None);
    throttle(&budget, Some(365 * 86_400));
    clock.turn(seconds_of(376));
    assert!(at_once(&budget).unwrap().is_ok());
}

#[test]
fn after_a_pause_one_call_goes_first_and_its_answer_lets_others_go() {
    let (budget, clock) = budget(None);
    throttle(&budget, Some(10));
    clock.turn(seconds_of(13));
    let probe = at_once(&budget).unwrap().unwrap();
    let mut others: Vec<_> = (0..100).map(|_| Box::pin(budget.turn(About::Values, seconds_of(3)))).collect();
    let mut under_way = Vec::new();
    let mut look = |under_way: &mut Vec<_>| {
        let before = under_way.len();
        others.retain_mut(|turn| poll(turn.as_mut()).map(|turn| under_way.push(turn.ok().unwrap())).is_none());
        under_way.len() - before
    };
    assert_eq!(look(&mut under_way), 0, "while the first is under way");
    probe.ended(&Ok(()));
    assert_eq!(look(&mut under_way), 2, "its own place, and one more");
    under_way.pop().unwrap().ended(&Ok(()));
    assert_eq!(look(&mut under_way), 2);
    // A call that is broken off frees its place and says nothing.
    under_way.pop();
    assert_eq!(look(&mut under_way), 1);
    assert!(budget.report().is_careful);
}

#[test]
fn who_waits_behind_a_first_call_that_is_refused_again_is_told_at_once() {
    let (budget, clock) = budget(None);
    throttle(&budget, Some(10));
    clock.turn(seconds_of(13));
    let probe = at_once(&budget).unwrap().unwrap();
    let mut other = Box::pin(budget.turn(About::Values, seconds_of(3)));
    assert!(poll(other.as_mut()).is_none());
    let error = Error { retry_after: Some(seconds_of(30)), ..Error::new(ErrorKind::Throttled, "test") };
    probe.ended::<()>(&Err(error));
    assert!(poll(other.as_mut()).unwrap().is_err());
}

#[test]
fn who_waits_for_others_does_so_no_longer_than_he_may() {
    let (budget, clock) = budget(None);
    throttle(&budget, Some(10));
    clock.turn(seconds_of(13));
    let _probe = at_once(&budget).unwrap().unwrap();
    let mut other = Box::pin(budget.turn(About::Values, seconds_of(3)));
    assert!(poll(other.as_mut()).is_none());
    clock.turn(seconds_of(3));
    assert_eq!(poll(other.as_mut()).unwrap().err().unwrap().kind, ErrorKind::Throttled);
}

#[test]
fn there_are_calls_to_spare_while_half_of_them_are_left_and_the_provider_has_not_complained() {
    let (budget, clock) = budget(Some("10/10"));
    for _ in 0..5 {
        assert!(budget.has_spare(About::Values));
        at_once(&budget).unwrap().unwrap().ended(&Ok(()));
    }
    assert!(budget.has_spare(About::Values));
    at_once(&budget).unwrap().unwrap().ended(&Ok(()));
    assert!(!budget.has_spare(About::Values));
    clock.turn(seconds_of(1));
    assert!(budget.has_spare(About::Values));
    throttle(&budget, Some(1));
    clock.turn(seconds_of(100));
    assert!(!budget.has_spare(About::Values), "until it has answered");
    for _ in 0..63 {
        at_once(&budget).unwrap().unwrap().ended(&Ok(()));
        clock.turn(seconds_of(10));
    }
    assert!(budget.has_spare(About::Values));
}

#[test]
fn what_nobody_waits_for_is_asked_while_there_are_calls_to_spare_and_holds_up_no_reader() {
    let (budget, clock) = budget(Some("10/10"));
    assert_eq!((0..20).filter(|_| budget.spare().is_ok()).count(), 6);
    assert_eq!(budget.report().left, Some(4), "these are for readers");
    clock.turn(seconds_of(100));
    throttle(&budget, Some(1));
    clock.turn(seconds_of(2));
    assert_eq!(budget.spare().unwrap_err().kind, ErrorKind::Throttled);
    assert!(at_once(&budget).unwrap().is_ok());
}

#[test]
fn silence_and_refusals_of_one_secret_throttle_nobody() {
    let (budget, _clock) = budget(None);
    for kind in [ErrorKind::Unreachable, ErrorKind::TimedOut, ErrorKind::Denied, ErrorKind::Malformed] {
        at_once(&budget).unwrap().unwrap().ended::<()>(&Err(Error::new(kind, "test")));
        assert!(budget.has_spare(About::Values) && at_once(&budget).unwrap().is_ok());
    }
}

#[test]
fn where_names_are_counted_apart_a_pause_for_them_is_none_for_values_and_the_other_way_round() {
    let too_many = || Error { retry_after: Some(seconds_of(10)), ..Error::new(ErrorKind::Throttled, "test") };
    let goes = |budget: &Budget, about| poll(pin!(budget.turn(about, seconds_of(3)))).unwrap().is_ok();
    for apart in [true, false] {
        for (said_to, other) in [(About::Names, About::Values), (About::Values, About::Names)] {
            let (budget, clock) = budget(None);
            let budget = budget.counting_names_apart(apart);
            let turn = poll(pin!(budget.turn(said_to, seconds_of(3)))).unwrap().unwrap();
            turn.ended::<()>(&Err(too_many()));
            assert!(!goes(&budget, said_to));
            assert_eq!(goes(&budget, other), apart);
            assert!(budget.report().throttled_until.is_some());
            // It is kept under another rate.
            assert_eq!(goes(&budget.at(None), other), apart);
            // None are refreshed ahead of time while they are asked for with care.
            for budget in [&budget, &budget.at(None)] {
                assert!(!budget.has_spare(said_to) && budget.is_careful(said_to));
                assert_eq!(budget.has_spare(other), apart);
                assert_eq!(budget.is_careful(other), !apart);
            }
            clock.turn(seconds_of(13));
            assert!(goes(&budget, said_to));
        }
    }
}
