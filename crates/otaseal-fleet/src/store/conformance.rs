//! What every store must do. A store passes by naming its [`Place`] in [`suite`].

mod batches;
mod lists;
mod naive;
mod rows;

pub(crate) use batches::*;
pub(crate) use lists::*;

use std::collections::BTreeMap;
use std::path::Path;

use proptest::prelude::*;
use proptest::test_runner::{Config, TestRunner};

use super::rows::*;
use super::{MAX_PAGE, Page, Reader, Store, StoreError, Write};
use crate::filter::Filter;
use crate::filter::tests::filters;
use crate::rollout::update::State;

/// Where a store keeps its data.
pub(crate) trait Place {
    /// Opens the data, or makes them.
    fn open(&self) -> Result<Box<dyn Store>, StoreError>;

    /// Opens a backup.
    fn open_backup(&self, backup: &Path) -> Box<dyn Store>;
}

/// Makes a test of each case. The argument makes an empty place.
macro_rules! suite {
    ($place:expr) => {
        crate::store::conformance::suite!($place;
            an_empty_store_has_nothing
            every_row_comes_back
            rows_are_replaced_and_deleted
            hostile_texts_stay_texts
            what_a_device_says_leaves_the_rest
            what_people_write_leaves_the_rest
            when_devices_were_seen_is_written_alone
            the_last_update_is_the_present_one
            a_deleted_device_leaves_its_events
            filters_find_what_they_should
            lists_come_in_pages
            a_batch_is_applied_whole_or_not_at_all
            the_same_batch_twice_changes_nothing
            a_number_of_the_audit_log_is_taken_once
            a_backup_is_whole_while_others_write
            readers_see_what_was_applied
            everything_is_there_after_a_restart
            a_second_process_is_locked_out
        );
    };
    ($place:expr; $($case:ident)+) => {
        $(#[test]
        fn $case() {
            crate::store::conformance::$case(&$place);
        })+
    };
}
pub(crate) use suite;

fn reader(store: &dyn Store) -> Box<dyn Reader> {
    store.reader().unwrap()
}

fn filter(text: &str) -> Filter {
    Filter::parse(text).unwrap()
}

fn all<K>() -> Page<K> {
    Page { after: None, rows: MAX_PAGE }
}

fn devices_of(store: &mut dyn Store) -> Vec<(DeviceRow, Option<UpdateRow>)> {
    let mut devices = Vec::new();
    store.load_devices(&mut |device, update| devices.push((device, update))).unwrap();
    devices
}

fn device(id: u32) -> DeviceRow {
    DeviceRow { id: DeviceId(id), name: format!("device {id}"), said: "{}".into(), ..DeviceRow::default() }
}

fn event(device: u32, at: u64, code: &str) -> EventRow {
    EventRow { device: DeviceId(device), at, code: code.into(), text: String::new(), rollout: None }
}

fn update(device: u32, rollout: Option<u32>, release: u32, state: State) -> UpdateRow {
    let mut update = rows::queued();
    update.state = state;
    UpdateRow {
        device: DeviceId(device),
        rollout: rollout.map(RolloutId),
        release: ReleaseId(release),
        stage: 1,
        before: (u64::MAX, 7),
        update,
    }
}

/// Runs a property test of a few cases on a store.
fn check<S: Strategy>(cases: u32, strategy: S, test: impl Fn(S::Value)) {
    let config = Config { cases, failure_persistence: None, ..Config::default() };
    let result = TestRunner::new(config).run(&strategy, |value| {
        test(value);
        Ok(())
    });
    result.unwrap_or_else(|error| panic!("{error}"));
}

pub(crate) fn an_empty_store_has_nothing(place: &dyn Place) {
    let mut store = place.open().unwrap();
    let loaded = store.load().unwrap();
    assert!(loaded.releases.is_empty() && loaded.rollouts.is_empty() && loaded.filters.is_empty());
    assert!(loaded.tokens.is_empty() && loaded.last_audit.is_none() && loaded.latest == 0);
    assert!(devices_of(&mut *store).is_empty());
    store.apply(&[]).unwrap();
    let mut reader = reader(&*store);
    for text in ["", "-a", "id:1", "a or -b"] {
        assert_eq!(reader.count(&filter(text), 0).unwrap(), 0, "{text}");
        assert!(reader.devices(&filter(text), all(), 0).unwrap().is_empty());
        assert!(reader.device_ids(&filter(text), 0).unwrap().is_empty());
        assert!(!reader.holds(&filter(text), DeviceId(1), 0).unwrap());
    }
    assert_eq!(reader.device(DeviceId(1)).unwrap(), None);
    assert_eq!(reader.update(DeviceId(1)).unwrap(), None);
    assert!(reader.updates(RolloutId(1), None, all()).unwrap().is_empty());
    assert!(reader.events(None, all()).unwrap().is_empty() && reader.audit(all()).unwrap().is_empty());
}

pub(crate) fn every_row_comes_back(place: &dyn Place) {
    let store = std::cell::RefCell::new(place.open().unwrap());
    let number = std::cell::Cell::new(0);
    check(96, rows::all(), |mut rows| {
        let mut store = store.borrow_mut();
        let store = &mut **store;
        number.set(number.get() + 1);
        rows.audit.number = number.get();
        rows.update.device = rows.device.id;
        store.apply(&rows.writes()).unwrap();
        let loaded = store.load().unwrap();
        assert!(loaded.releases.contains(&rows.release));
        assert!(loaded.rollouts.contains(&rows.rollout));
        assert!(loaded.filters.contains(&rows.filter));
        assert!(loaded.tokens.contains(&rows.token));
        assert_eq!(loaded.last_audit.as_ref(), Some(&rows.audit));
        assert!(loaded.latest >= rows.event.at && loaded.latest >= rows.audit.at);
        assert!(devices_of(store).contains(&(rows.device.clone(), Some(rows.update))));
        let mut reader = reader(store);
        assert_eq!(reader.device(rows.device.id).unwrap(), Some(rows.device.clone()));
        assert_eq!(reader.update(rows.device.id).unwrap(), Some(rows.update));
        let events = reader.events(Some(rows.event.device), all()).unwrap();
        assert!(events.iter().any(|(_, event)| *event == rows.event));
        assert_eq!(reader.audit(Page { after: None, rows: 1 }).unwrap(), [rows.audit.clone()]);
    });
}

pub(crate) fn rows_are_replaced_and_deleted(place: &dyn Place) {
    let mut store = place.open().unwrap();
    let [mut one, two] = rows::some::<2>();
    let again = rows::Rows {
        device: DeviceRow { id: one.device.id, ..two.device.clone() },
        release: ReleaseRow { id: one.release.id, ..two.release.clone() },
        rollout: RolloutRow { id: one.rollout.id, ..two.rollout.clone() },
        token: TokenRow { id: one.token.id, ..two.token.clone() },
        filter: FilterRow { name: one.filter.name.clone(), ..two.filter.clone() },
        audit: AuditRow { number: one.audit.number + 1, ..two.audit.clone() },
        update: UpdateRow { device: one.device.id, ..two.update },
        ..two.clone()
    };
    one.update.device = one.device.id;
    store.apply(&one.writes()).unwrap();
    store.apply(&again.writes()).unwrap();
    let loaded = store.load().unwrap();
    assert_eq!(
        (loaded.releases, loaded.rollouts),
        (vec![again.release.clone()], vec![again.rollout.clone()])
    );
    assert_eq!((loaded.filters, loaded.tokens), (vec![again.filter.clone()], vec![again.token.clone()]));
    assert_eq!(devices_of(&mut *store), [(again.device.clone(), Some(again.update))]);
    let gone = [
        Write::DeleteDevice(one.device.id),
        Write::DeleteRelease(one.release.id),
        Write::DeleteFilter(one.filter.name.clone()),
    ];
    for _ in 0..2 {
        store.apply(&gone).unwrap();
        let loaded = store.load().unwrap();
        assert!(loaded.releases.is_empty() && loaded.filters.is_empty());
        assert!(devices_of(&mut *store).is_empty());
    }
}

pub(crate) fn hostile_texts_stay_texts(place: &dyn Place) {
    let mut store = place.open().unwrap();
    let [mut rows] = rows::some();
    for (number, text) in (1..).zip(rows::HOSTILE) {
        rows.set_texts(text);
        rows.device.id = DeviceId(number);
        rows.update.device = rows.device.id;
        rows.event.device = rows.device.id;
        rows.release.id = ReleaseId(number);
        rows.rollout.id = RolloutId(number);
        rows.token.id = TokenId(number);
        rows.audit.number = number.into();
        store.apply(&rows.writes()).unwrap();
        let loaded = store.load().unwrap();
        assert!(loaded.releases.contains(&rows.release), "{text:?}");
        assert!(loaded.rollouts.contains(&rows.rollout), "{text:?}");
        assert!(loaded.filters.contains(&rows.filter), "{text:?}");
        assert!(loaded.tokens.contains(&rows.token), "{text:?}");
        assert_eq!(loaded.last_audit.as_ref(), Some(&rows.audit));
        let mut reader = reader(&*store);
        assert_eq!(reader.device(rows.device.id).unwrap().as_ref(), Some(&rows.device), "{text:?}");
        assert_eq!(reader.events(Some(rows.device.id), all()).unwrap()[0].1, rows.event, "{text:?}");
        // As filters too, each text finds its own device.
        let quoted = format!("\"{}\"", text.replace('\\', "\\\\").replace('"', "\\\""));
        for field in ["site:", "tag:", "firmware:", "version:", "name~", ""] {
            let Ok(filter) = Filter::parse(&format!("{field}{quoted}")) else { continue };
            assert!(reader.holds(&filter, rows.device.id, 0).unwrap(), "{filter}");
            let found = reader.device_ids(&filter, 0).unwrap();
            assert!(found.contains(&rows.device.id), "{filter}");
            let is_exact = !field.is_empty() && !field.ends_with('~');
            assert!(!is_exact || found == [rows.device.id], "{filter}: {found:?}");
        }
        store.apply(&[Write::DeleteFilter(text.to_string())]).unwrap();
        assert!(store.load().unwrap().filters.is_empty(), "{text:?}");
    }
    assert_eq!(devices_of(&mut *store).len(), rows::HOSTILE.len());
}

pub(crate) fn what_a_device_says_leaves_the_rest(place: &dyn Place) {
    let mut store = place.open().unwrap();
    let [one, two] = rows::some::<2>();
    for same_address in [true, false] {
        let mut before = one.device.clone();
        before.id = DeviceId(1 + u32::from(same_address));
        let mut said = two.device.clone();
        said.id = before.id;
        if same_address {
            (said.family, said.mac) = (before.family, before.mac);
        }
        store.apply(&[Write::Device(Box::new(before.clone())), Write::Said(Box::new(said.clone()))]).unwrap();
        let after = DeviceRow {
            standing: before.standing,
            source: before.source,
            name: before.name.clone(),
            site: before.site.clone(),
            tags: before.tags.clone(),
            note: before.note.clone(),
            board: before.board.clone(),
            profile: before.profile.clone(),
            signal: before.signal,
            homie: before.homie.clone(),
            said: before.said.clone(),
            address: before.address.clone(),
            first_seen: before.first_seen,
            interval: before.interval.clone(),
            ..said.clone()
        };
        let mut reader = reader(&*store);
        assert_eq!(reader.device(before.id).unwrap(), Some(after.clone()));
        let mac = filter(&format!("\"{}\" id:{}", after.mac.unwrap(), after.id));
        assert_eq!(reader.count(&mac, 0).unwrap(), 1, "words find the present address");
        store.apply(&[Write::Runs(before.id, ReleaseId(77))]).unwrap();
        assert_eq!(
            reader.device(before.id).unwrap(),
            Some(DeviceRow { running: Some(ReleaseId(77)), ..after })
        );
    }
    let nobody = DeviceRow { id: DeviceId(9), ..two.device };
    store.apply(&[Write::Said(Box::new(nobody)), Write::Runs(DeviceId(9), ReleaseId(1))]).unwrap();
    assert_eq!(reader(&*store).device(DeviceId(9)).unwrap(), None);
    assert_eq!(devices_of(&mut *store).len(), 2);
}

pub(crate) fn what_people_write_leaves_the_rest(place: &dyn Place) {
    let mut store = place.open().unwrap();
    let [one, two] = rows::some::<2>();
    let before = DeviceRow { id: DeviceId(1), ..one.device };
    let edited = DeviceRow { id: DeviceId(1), ..two.device };
    store.apply(&[Write::Device(Box::new(before.clone())), Write::Edited(Box::new(edited.clone()))]).unwrap();
    let DeviceRow { name, site, tags, note, board, profile, .. } = edited.clone();
    let after = DeviceRow { name, site, tags, note, board, profile, ..before };
    assert_eq!(reader(&*store).device(DeviceId(1)).unwrap(), Some(after.clone()));
    for standing in Standing::ALL {
        store.apply(&[Write::Standing(DeviceId(1), standing)]).unwrap();
        let found = reader(&*store).device(DeviceId(1)).unwrap();
        assert_eq!(found, Some(DeviceRow { standing, ..after.clone() }));
        assert_eq!(reader(&*store).count(&filter(&format!("standing:{}", standing.name())), 0).unwrap(), 1);
    }
    let nobody = DeviceRow { id: DeviceId(9), ..edited };
    store
        .apply(&[Write::Edited(Box::new(nobody)), Write::Standing(DeviceId(9), Standing::Accepted)])
        .unwrap();
    assert_eq!(reader(&*store).device(DeviceId(9)).unwrap(), None);
}

pub(crate) fn when_devices_were_seen_is_written_alone(place: &dyn Place) {
    let mut store = place.open().unwrap();
    let [rows] = rows::some();
    let device = DeviceRow { id: DeviceId(3), ..rows.device };
    let seen = |id, address: Option<&str>| LastSeen {
        device: DeviceId(id),
        at: 777,
        interval: vec![1, 2, 3],
        address: address.map(str::to_owned),
    };
    store.apply(&[Write::Device(Box::new(device.clone()))]).unwrap();
    store.apply(&[Write::LastSeen(vec![seen(3, None), seen(4, None)])]).unwrap();
    let mut after = DeviceRow { last_seen: 777, interval: vec![1, 2, 3], ..device };
    assert_eq!(reader(&*store).device(DeviceId(3)).unwrap(), Some(after.clone()), "the address stays");
    store.apply(&[Write::LastSeen(vec![seen(3, Some("10.0.0.1"))])]).unwrap();
    after.address = Some("10.0.0.1".into());
    assert_eq!(devices_of(&mut *store), [(after, None)], "and nobody else was made");
}

pub(crate) fn the_last_update_is_the_present_one(place: &dyn Place) {
    let mut store = place.open().unwrap();
    let put = |store: &mut dyn Store, rows: &[UpdateRow]| {
        store.apply(&rows.iter().map(|row| Write::Update(*row)).collect::<Vec<_>>()).unwrap();
    };
    store.apply(&[1, 2].map(|id| Write::Device(Box::new(device(id))))).unwrap();
    let first = update(1, Some(1), 1, State::Superseded);
    let second = update(1, Some(2), 2, State::Queued);
    let pushed = update(1, None, 3, State::Sending);
    let other = update(2, Some(2), 2, State::Attention);
    put(&mut *store, &[first, second, other]);
    let mut reader = reader(&*store);
    let present = |reader: &mut dyn Reader| reader.update(DeviceId(1)).unwrap();
    assert_eq!(present(&mut *reader), Some(second));
    assert_eq!(reader.updates(RolloutId(1), None, all()).unwrap(), [first], "the earlier one stays");
    assert_eq!(reader.updates(RolloutId(2), None, all()).unwrap(), [second, other]);
    assert_eq!(reader.updates(RolloutId(2), Some(State::Attention), all()).unwrap(), [other]);
    assert_eq!(reader.updates(RolloutId(1), Some(State::Superseded), all()).unwrap(), [first]);
    assert!(reader.updates(RolloutId(1), Some(State::Attention), all()).unwrap().is_empty());
    assert_eq!(reader.updates(RolloutId(2), None, Page { after: None, rows: 1 }).unwrap(), [second]);
    let after = Page { after: Some(DeviceId(1)), rows: 1 };
    assert_eq!(reader.updates(RolloutId(2), None, after).unwrap(), [other]);
    // Filters ask for the present one.
    assert_eq!(reader.device_ids(&filter("rollout:1 or state:superseded"), 0).unwrap(), []);
    assert_eq!(reader.device_ids(&filter("rollout:2"), 0).unwrap(), [DeviceId(1), DeviceId(2)]);
    put(&mut *store, &[pushed]);
    assert_eq!(present(&mut *reader), Some(pushed));
    assert_eq!(reader.updates(RolloutId(2), None, all()).unwrap(), [second, other]);
    // The same row again moves it, wherever it is.
    let settled = update(1, Some(1), 1, State::Settled);
    put(&mut *store, &[settled]);
    assert_eq!(present(&mut *reader), Some(settled));
    assert_eq!(reader.updates(RolloutId(1), None, all()).unwrap(), [settled]);
    assert_eq!(reader.updates(RolloutId(2), None, all()).unwrap(), [second, other]);
    put(&mut *store, &[update(3, Some(1), 1, State::Queued)]);
    assert_eq!(reader.update(DeviceId(3)).unwrap(), None, "nobody has no update");
    assert_eq!(reader.count(&filter("rollout:1"), 0).unwrap(), 1);
}

pub(crate) fn a_deleted_device_leaves_its_events(place: &dyn Place) {
    let mut store = place.open().unwrap();
    let mut gone = device(2);
    gone.tags = vec!["spare".into()];
    let writes = [
        Write::Device(Box::new(gone)),
        Write::Device(Box::new(device(1))),
        Write::Device(Box::new(device(3))),
        Write::Update(update(2, Some(1), 1, State::Settled)),
        Write::Update(update(2, Some(2), 1, State::Queued)),
        Write::Event(event(2, 5, "new")),
        Write::DeleteDevice(DeviceId(2)),
    ];
    store.apply(&writes).unwrap();
    let mut reader = reader(&*store);
    assert_eq!(reader.device(DeviceId(2)).unwrap(), None);
    assert_eq!(reader.update(DeviceId(2)).unwrap(), None);
    for rollout in [1, 2] {
        assert!(reader.updates(RolloutId(rollout), None, all()).unwrap().is_empty());
    }
    assert_eq!(reader.events(Some(DeviceId(2)), all()).unwrap()[0].1, event(2, 5, "new"));
    for text in ["tag:spare", "id:2", "\"device 2\"", "rollout:2", "name~2", "-id:1 -id:3"] {
        assert_eq!(reader.count(&filter(text), 0).unwrap(), 0, "{text}");
        assert!(!reader.holds(&filter(text), DeviceId(2), 0).unwrap(), "{text}");
    }
    assert_eq!(reader.device_ids(&filter("-tag:spare"), 0).unwrap(), [DeviceId(1), DeviceId(3)]);
    assert_eq!(devices_of(&mut *store).len(), 2);
}

type Fleet = BTreeMap<DeviceId, (DeviceRow, Option<UpdateRow>)>;
