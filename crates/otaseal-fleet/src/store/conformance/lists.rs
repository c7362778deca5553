//! Filters, and lists in pages.

use super::*;

pub(crate) fn filters_find_what_they_should(place: &dyn Place) {
    let store = std::cell::RefCell::new(place.open().unwrap());
    let strategy = (rows::fleet(), prop::collection::vec(filters(), 24));
    check(48, strategy, |(fleet, filters)| {
        let mut store = store.borrow_mut();
        let store = &mut **store;
        let gone: Vec<_> =
            devices_of(store).into_iter().map(|(device, _)| Write::DeleteDevice(device.id)).collect();
        store.apply(&gone).unwrap();
        let mut writes = Vec::new();
        for (device, update) in fleet.values() {
            writes.push(Write::Device(Box::new(device.clone())));
            writes.extend(update.map(Write::Update));
        }
        store.apply(&writes).unwrap();
        assert_eq!(devices_of(store), fleet.values().cloned().collect::<Vec<_>>());
        let mut reader = reader(store);
        for filter in filters {
            let expected: Vec<DeviceId> = fleet
                .values()
                .filter(|(device, update)| naive::holds(filter.expr(), device, update.as_ref(), rows::NOW))
                .map(|(device, _)| device.id)
                .collect();
            assert_eq!(reader.device_ids(&filter, rows::NOW).unwrap(), expected, "{filter}");
            assert_eq!(reader.count(&filter, rows::NOW).unwrap(), expected.len() as u64, "{filter}");
            for (id, (device, update)) in &fleet {
                let holds = naive::holds(filter.expr(), device, update.as_ref(), rows::NOW);
                assert_eq!(reader.holds(&filter, *id, rows::NOW).unwrap(), holds, "{filter} {id}");
            }
            assert_eq!(pages(&mut *reader, &filter, 7), expected, "{filter}");
        }
    });
}

/// The ids of a list that is read page by page.
fn pages(reader: &mut dyn Reader, filter: &Filter, rows: u32) -> Vec<DeviceId> {
    let mut found = Vec::new();
    let mut page = Page { after: None, rows };
    loop {
        let devices = reader.devices(filter, page, rows::NOW).unwrap();
        assert!(devices.len() <= rows as usize);
        let Some(last) = devices.last() else { return found };
        page.after = Some(last.id);
        found.extend(devices.iter().map(|device| device.id));
    }
}

pub(crate) fn lists_come_in_pages(place: &dyn Place) {
    let mut store = place.open().unwrap();
    let mut writes = Vec::new();
    for number in 1..=2_500_u32 {
        // The numbers of devices that are gone are missing.
        let id = if number > 2_400 { number + 50_000 } else { number };
        let mut device = device(id);
        device.site = if number % 5 == 0 { "berlin" } else { "" }.into();
        writes.push(Write::Device(Box::new(device)));
        writes.push(Write::Update(update(id, Some(1), 1, State::Queued)));
        writes.push(Write::Event(event(id % 2, number.into(), "new")));
        writes.push(Write::Audit(AuditRow { number: number.into(), ..rows::line() }));
    }
    store.apply(&writes).unwrap();
    let mut reader = reader(&*store);
    for (text, count) in [("", 2_500), ("site:berlin", 500), ("-site:berlin", 2_000), ("name~device", 2_500)]
    {
        let ids = reader.device_ids(&filter(text), 0).unwrap();
        assert_eq!(ids.len(), count, "{text}");
        assert!(ids.is_sorted_by(|one, other| one < other));
        for rows in [1_000, 333] {
            assert_eq!(pages(&mut *reader, &filter(text), rows), ids, "{text}");
        }
    }
    let page = |rows| Page { after: None, rows };
    assert_eq!(reader.devices(&Filter::default(), page(0), 0).unwrap(), []);
    assert_eq!(reader.devices(&Filter::default(), page(u32::MAX), 0).unwrap().len(), MAX_PAGE as usize);
    let end = Page { after: Some(DeviceId(u32::MAX)), rows: 5 };
    assert!(reader.devices(&Filter::default(), end, 0).unwrap().is_empty());
    assert_eq!(reader.updates(RolloutId(1), None, page(u32::MAX)).unwrap().len(), MAX_PAGE as usize);
    // Events and the audit log: the newest first.
    let mut seen = Vec::new();
    let mut page = Page { after: None, rows: 900 };
    loop {
        let events = reader.events(Some(DeviceId(1)), page).unwrap();
        let Some((last, _)) = events.last() else { break };
        page.after = Some(*last);
        seen.extend(events.into_iter().map(|(_, event)| event.at));
    }
    assert!(seen.is_sorted_by(|newer, older| newer > older) && seen.len() == 1_250, "{}", seen.len());
    let newest = reader.events(None, Page { after: None, rows: 2 }).unwrap();
    assert_eq!(newest.iter().map(|(_, event)| event.at).collect::<Vec<_>>(), [2_500, 2_499]);
    let lines = |reader: &mut dyn Reader, after| {
        let lines = reader.audit(Page { after, rows: 2 }).unwrap();
        lines.into_iter().map(|line| line.number).collect::<Vec<_>>()
    };
    assert_eq!(lines(&mut *reader, None), [2_500, 2_499]);
    assert_eq!(lines(&mut *reader, Some(2_499)), [2_498, 2_497]);
    assert!(lines(&mut *reader, Some(1)).is_empty());
    assert_eq!(lines(&mut *reader, Some(u64::MAX)), [2_500, 2_499]);
}
