use super::*;
use proptest::prelude::*;

const BYTES: u64 = 400_000;

/// A device that comes every five minutes.
fn interval() -> Interval {
    let mut interval = Interval::default();
    (0..8).for_each(|_| interval.learn(300));
    interval
}

/// Runs events, each with the seconds since the one before. An event that changes nothing is an error.
fn run(update: Update, events: &[(u64, Event)]) -> Update {
    let interval = interval();
    let (mut update, mut now) = (update, 1_000_000);
    for (number, (after, event)) in events.iter().enumerate() {
        now += after;
        let about = Circumstances { interval: &interval, bytes: BYTES, spread: 128, now };
        update =
            update.step(*event, about).unwrap_or_else(|| panic!("event {number}, {event:?}, in {update:?}"));
    }
    update
}

fn queued() -> Update {
    Update::new(true, 1_000_000)
}

const SENT: Event = Event::Transfer(Transfer::Whole(Evidence::Sent));
const NEW: Event = Event::Contact(Seen::New);
const OLD: Event = Event::Contact(Seen::Old);
const THIRD: Event = Event::Contact(Seen::Third);
const NOTHING: Event = Event::Contact(Seen::Nothing);

#[test]
fn a_good_update_is_confirmed_and_then_settled() {
    let update = run(queued(), &[(0, Event::Offer), (20, SENT)]);
    assert_eq!(
        (update.state, update.verdict()),
        (State::Served, None),
        "bytes that were served are no update"
    );
    let update = run(queued(), &[(0, Event::Offer), (20, SENT), (30, NEW)]);
    assert_eq!((update.state, update.verdict()), (State::Confirmed, Some(Verdict::Confirmed)));
    let update = run(update, &[(300, NEW)]);
    assert_eq!(update.state, State::Confirmed, "it must last");
    let update = run(queued(), &[(0, Event::Offer), (20, SENT), (30, NEW), (3_600, NEW)]);
    assert_eq!((update.state, update.deadline), (State::Settled, None));
}

#[test]
fn the_verdict_of_the_device_is_no_proof() {
    let update = run(queued(), &[(0, Event::Offer), (9, SENT), (1, Event::Said(Said::Took))]);
    assert_eq!((update.state, update.verdict()), (State::Installed, None));
    assert_eq!(run(update, &[(300, NEW)]).state, State::Confirmed);
    // A device that is not idle goes on with the old image.
    let interval = interval();
    let about = Circumstances { interval: &interval, bytes: BYTES, spread: 0, now: 1_000_300 };
    assert_eq!(update.step(OLD, about), None);
    let never = run(update, &[(DAY + 10, Event::Clock)]);
    assert_eq!((never.state, never.why), (State::Attention, Why::NeverStarted));
}

#[test]
fn silence_counts_as_failed_until_the_device_is_back() {
    let served = [(0, Event::Offer), (20, SENT)];
    let silent = run(queued(), &[&served[..], &[(900, Event::Clock)]].concat());
    assert_eq!((silent.state, silent.verdict()), (State::Silent, Some(Verdict::Silent)));
    let late = run(silent, &[(86_400, NEW)]);
    assert_eq!(
        (late.state, late.why, late.verdict()),
        (State::Confirmed, Why::Late, Some(Verdict::Confirmed))
    );
    let old = run(silent, &[(86_400, OLD)]);
    assert_eq!((old.state, old.why), (State::Retry, Why::NotApplied));
    let lost = run(silent, &[(40 * DAY, Event::Clock)]);
    assert_eq!((lost.state, lost.why), (State::Attention, Why::Lost));
}

#[test]
fn a_confirmed_device_that_is_not_heard_of_again_is_silent() {
    let confirmed = run(queued(), &[(0, Event::Offer), (20, SENT), (30, NEW)]);
    assert_eq!(run(confirmed, &[(3 * HOUR, Event::Clock)]).state, State::Silent);
}

#[test]
fn a_third_image_goes_to_a_person_at_once() {
    for before in [
        &[(0, Event::Offer)][..],
        &[(0, Event::Offer), (20, SENT)],
        &[(0, Event::Offer), (20, SENT), (900, Event::Clock)],
        &[(0, Event::Offer), (20, SENT), (30, NEW)],
        &[(0, Event::Offer), (20, SENT), (30, OLD)],
    ] {
        let update = run(queued(), &[before, &[(30, THIRD)]].concat());
        assert_eq!((update.state, update.why), (State::Attention, Why::ThirdIdentity), "{before:?}");
    }
    let queued = run(queued(), &[(0, Event::Offer), (9, SENT), (30, OLD), (HOUR, Event::Clock)]);
    assert_eq!(queued.state, State::Queued);
    assert_eq!(run(queued, &[(HOUR, THIRD)]).why, Why::ThirdIdentity);
}

#[test]
fn a_device_that_goes_back_needs_a_person() {
    let confirmed = run(queued(), &[(0, Event::Offer), (20, SENT), (30, NEW)]);
    let reverted = run(confirmed, &[(60, OLD)]);
    assert_eq!((reverted.state, reverted.why), (State::Attention, Why::Reverted));
    let interval = interval();
    let about = Circumstances { interval: &interval, bytes: BYTES, spread: 0, now: 1_001_000 };
    assert_eq!(reverted.step(NEW, about), None, "to and fro is not confirmed");
    let settled = run(queued(), &[(0, Event::Offer), (20, SENT), (30, NEW), (3_600, NEW)]);
    assert_eq!(run(settled, &[(DAY, OLD)]).why, Why::Reverted, "not even after it was settled");
}

#[test]
fn failures_are_tried_again_and_end_at_a_person() {
    let again = |failure: &[(u64, Event)], wait: u64| [failure, &[(wait, Event::Clock)]].concat();
    let not_applied = [(0, Event::Offer), (20, SENT), (30, OLD)];
    let refused = [(0, Event::Offer), (1, Event::Transfer(Transfer::Cut(4_096)))];
    let says_no = [(0, Event::Offer), (1, Event::Said(Said::Refused))];
    let network = [(0, Event::Offer), (1, Event::Transfer(Transfer::Cut(20_000)))];
    for (failure, why, limit, end) in [
        (&not_applied[..], Why::NotApplied, 3, Why::NotApplied),
        (&refused[..], Why::RefusedEarly, 2, Why::RefusedEarly),
        (&says_no[..], Why::Refused, 2, Why::Refused),
        (&network[..], Why::Network, 6, Why::TooOften),
    ] {
        let mut update = queued();
        for number in 1..limit {
            let failed = run(update, failure);
            assert_eq!((failed.state, failed.why), (State::Retry, why), "try {number}");
            assert_eq!(
                failed.verdict().is_some(),
                why != Why::Network,
                "the network is no verdict on a build"
            );
            update = run(update, &again(failure, 2 * DAY));
            assert_eq!(update.state, State::Queued);
            assert_eq!(update.verdict(), failed.verdict(), "a device that is tried again has failed so far");
        }
        let update = run(update, failure);
        assert_eq!((update.state, update.why, update.deadline), (State::Attention, end, None));
    }
}

#[test]
fn what_the_device_says_is_wrong_is_not_tried_again() {
    for (said, why) in [(Said::WrongBoard, Why::WrongBoard), (Said::WrongSignature, Why::WrongSignature)] {
        let update = run(queued(), &[(0, Event::Offer), (20, SENT), (1, Event::Said(said))]);
        assert_eq!((update.state, update.why), (State::Attention, why));
        assert!(why.stops_all());
    }
}

#[test]
fn a_device_that_loads_again_and_again_is_stopped() {
    // A person wants it at once each time, so no limit of tries holds.
    let load = [(0, Event::Offer), (20, SENT), (30, OLD)];
    let mut update = queued();
    for _ in 0..2 {
        update = Update { state: State::Queued, tries: Tries::default(), ..run(update, &load) };
    }
    let update = run(update, &load);
    assert_eq!((update.state, update.why), (State::Attention, Why::Loop), "three downloads within an hour");
    // Nine tenths of an image, again and again.
    let cut = [(0, Event::Offer), (20, Event::Transfer(Transfer::Cut(BYTES / 10 * 9)))];
    let mut update = queued();
    for _ in 0..5 {
        update = Update { state: State::Queued, tries: Tries::default(), ..run(update, &cut) };
    }
    assert_eq!(run(update, &cut).why, Why::Loop, "more than five sizes in a day");
}

#[test]
fn a_device_that_runs_it_already_is_skipped() {
    assert_eq!(run(queued(), &[(5, NEW)]).why, Why::AlreadyRunning);
    assert_eq!(run(Update::new(false, 0), &[(5, NEW)]).why, Why::AlreadyRunning);
    let tried = run(queued(), &[(0, Event::Offer), (9, SENT), (30, OLD), (HOUR, Event::Clock), (9, NEW)]);
    assert_eq!((tried.state, tried.why), (State::Confirmed, Why::Late), "it was our doing");
}

#[test]
fn a_device_that_says_nothing_can_never_prove_it() {
    let update = run(queued(), &[(0, Event::Offer), (20, SENT), (300, NOTHING)]);
    assert_eq!((update.state, update.verdict()), (State::Unverifiable, None));
    assert_eq!(run(update, &[(300, NEW)]).state, State::Confirmed, "but if it does, that counts");
}

#[test]
fn a_poll_during_the_transfer_is_a_restart() {
    let update = run(queued(), &[(0, Event::Offer), (20, OLD)]);
    assert_eq!((update.state, update.why), (State::Retry, Why::Network));
    assert_eq!(run(queued(), &[(0, Event::Offer), (20, NEW)]).state, State::Confirmed);
}

#[test]
fn a_transfer_that_never_began_is_no_failure() {
    let update = run(queued(), &[(0, Event::Offer), (0, Event::Transfer(Transfer::NotBegun))]);
    assert_eq!((update.state, update.tries, update.verdict()), (State::Queued, Tries::default(), None));
}

#[test]
fn a_transfer_without_an_end_ends() {
    let update = run(queued(), &[(0, Event::Offer), (300, Event::Clock)]);
    assert_eq!((update.state, update.why), (State::Retry, Why::Network));
}

#[test]
fn a_device_with_an_unproven_image_is_left_alone() {
    let interval = interval();
    let about = Circumstances { interval: &interval, bytes: BYTES, spread: 0, now: 1_000_030 };
    for events in [&[(0, Event::Offer)][..], &[(0, Event::Offer), (20, SENT)]] {
        let update = run(queued(), events);
        assert!(!update.may_be_superseded());
        for event in [Event::Supersede, Event::Cancel, Event::Expire, Event::Again, Event::Offer] {
            assert_eq!(update.step(event, about), None, "{event:?} in {:?}", update.state);
        }
    }
}

#[test]
fn names_are_read_back() {
    for state in State::ALL {
        assert_eq!(State::by_name(state.name()), Some(state));
        assert_eq!(State::ALL[state as usize], state);
    }
    for why in Why::ALL {
        assert_eq!(Why::by_name(why.name()), Some(why));
        assert_eq!(Why::ALL[why as usize], why);
    }
}

fn event() -> impl Strategy<Value = Event> {
    prop_oneof![
        Just(Event::Open),
        prop_oneof![Just(Seen::New), Just(Seen::Old), Just(Seen::Third), Just(Seen::Nothing)]
            .prop_map(Event::Contact),
        Just(Event::Offer),
        prop_oneof![
            Just(Transfer::NotBegun),
            Just(Transfer::Whole(Evidence::Sent)),
            (0..BYTES).prop_map(Transfer::Cut)
        ]
        .prop_map(Event::Transfer),
        prop_oneof![
            Just(Said::Took),
            Just(Said::Refused),
            Just(Said::WrongBoard),
            Just(Said::WrongSignature)
        ]
        .prop_map(Event::Said),
        Just(Event::Clock),
        Just(Event::Skip(Why::NotForIt)),
        Just(Event::Again),
        Just(Event::Cancel),
        Just(Event::Expire),
        Just(Event::Supersede),
    ]
}

proptest! {
    #[test]
    fn no_order_of_events_breaks_the_rules(
        events in prop::collection::vec((0..100_000u64, event()), 0..60),
        open in any::<bool>(),
    ) {
        let interval = interval();
        let (mut update, mut now) = (Update::new(open, 0), 0);
        for (after, event) in events {
            now += after;
            let about = Circumstances { interval: &interval, bytes: BYTES, spread: 7, now };
            let Some(next) = update.step(event, about) else { continue };
            // Only a contact as the new image confirms.
            if matches!(next.state, State::Confirmed | State::Settled) && next.state != update.state {
                prop_assert_eq!(event, Event::Contact(Seen::New));
            }
            // Only a queued device is offered anything.
            if next.state == State::Sending {
                prop_assert_eq!(update.state, State::Queued);
            }
            // A state that waits for the device has an end.
            if matches!(
                next.state,
                State::Sending | State::Served | State::Installed | State::Confirmed | State::Retry | State::Silent
            ) {
                prop_assert!(next.deadline.is_some_and(|deadline| deadline > now), "{:?}", next);
            } else {
                prop_assert_eq!(next.deadline, None);
            }
            update = next;
        }
    }
}
