//! Measures the store: durable transitions, filters and pages, and the start.
//!
//! ```text
//! cargo run --release -p otaseal-fleet --example store_speed -- FOLDER [DEVICES]
//! ```
//!
//! FOLDER should be on the disk that is to be measured. A store that is there from an earlier run is used again.

#![allow(clippy::print_stdout, reason = "it prints its results")]

use std::path::Path;
use std::sync::mpsc;
use std::thread;
use std::time::{Duration, Instant};

use otaseal_delivery::device::{Family, Mac};
use otaseal_fleet::filter::Filter;
use otaseal_fleet::rollout::update::{State, Update};
use otaseal_fleet::store::rows::{
    DeviceId, DeviceRow, EventRow, LastSeen, ReleaseId, RolloutId, Source, Standing, UpdateRow,
};
use otaseal_fleet::store::sqlite::Sqlite;
use otaseal_fleet::store::{Page, Store, Write};

const NOW: u64 = 1_800_000_000;

/// Threads that wait until their transition is durable.
const WAITING: u32 = 32;

/// Rows of a page.
const ROWS: u32 = 100;

type Failure = Box<dyn std::error::Error>;

fn main() -> Result<(), Failure> {
    let mut arguments = std::env::args().skip(1);
    let folder = arguments.next().ok_or("name a folder for the data")?;
    let devices: u32 = arguments.next().map_or(Ok(1_000_000), |text| text.parse())?;
    let path = Path::new(&folder).join(format!("speed-{devices}.db"));
    let mut store = Sqlite::open(&path)?;
    if store.reader()?.count(&Filter::default(), NOW)? < u64::from(devices) {
        fill(&mut store, devices)?;
    }
    drop(store);

    let begun = Instant::now();
    let mut store = Sqlite::open(&path)?;
    store.load()?;
    let mut loaded = 0_u32;
    store.load_devices(&mut |_, _| loaded += 1)?;
    println!("start: {loaded} devices in {:.2?}; {} MiB", begun.elapsed(), path.metadata()?.len() >> 20);

    filters(&store, devices)?;
    for _ in 0..3 {
        seen(&mut store, devices)?;
    }
    transitions(store, devices)
}

/// Numbers that look random and are the same in each run.
struct Random(u64);

impl Random {
    fn below(&mut self, end: u32) -> u32 {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        ((self.0 >> 33) % u64::from(end)) as u32
    }
}

fn fill(store: &mut Sqlite, devices: u32) -> Result<(), Failure> {
    let begun = Instant::now();
    let mut random = Random(1);
    let mut batch = Vec::new();
    for id in 1..=devices {
        batch.push(Write::Device(Box::new(device(id, &mut random))));
        batch.push(Write::Update(update(id, State::Queued, &mut random)));
        if id % 5_000 == 0 || id == devices {
            store.apply(&batch)?;
            batch.clear();
        }
    }
    let rate = f64::from(devices) / begun.elapsed().as_secs_f64();
    println!("fill: {devices} devices with their updates in {:.1?}, {rate:.0} a second", begun.elapsed());
    Ok(())
}

fn device(id: u32, random: &mut Random) -> DeviceRow {
    let [_, high, middle, low] = id.to_be_bytes();
    let version = format!("1.{}.{}", random.below(5), random.below(10));
    let mut tags = vec![format!("room-{}", random.below(200))];
    if id % 10_000 == 7 {
        tags.push("rare".to_owned());
    }
    if random.below(2) == 0 {
        tags.push("half".to_owned());
    }
    tags.sort();
    DeviceRow {
        id: DeviceId(id),
        family: Some(if random.below(4) == 0 { Family::Esp32 } else { Family::Esp8266 }),
        mac: Some(Mac([0x5C, 0xCF, 0x7F, high, middle, low])),
        standing: if random.below(1_000) == 0 { Standing::Pending } else { Standing::Accepted },
        source: if random.below(3) == 0 { Source::Homie } else { Source::Pull },
        name: format!("lamp {} {id}", ["kitchen", "hall", "stairs", "garden"][random.below(4) as usize]),
        site: format!("site-{}", random.below(500)),
        tags,
        board: Some(if random.below(3) == 0 { "d1_mini" } else { "nodemcu-v2" }.to_owned()),
        firmware: Some(if random.below(5) == 0 { "socket" } else { "lamp" }.to_owned()),
        version: Some(version),
        md5: Some(otaseal::format::digest::Md5Digest([random.below(256) as u8; 16])),
        running: Some(ReleaseId(1 + random.below(20))),
        sketch_bytes: Some(420_000),
        free_bytes: Some(600_000),
        chip_bytes: Some(4 << 20),
        sdk: Some("2.2.2-dev(38a443e)".to_owned()),
        core_at_least: Some("3.0.0".to_owned()),
        said: "{}".to_owned(),
        address: Some(format!("10.{high}.{middle}.{low}")),
        first_seen: NOW - 10_000_000,
        last_seen: NOW - if random.below(2_000) == 0 { 9 * 86_400 } else { u64::from(random.below(86_400)) },
        interval: vec![7; 17],
        ..DeviceRow::default()
    }
}

fn update(id: u32, state: State, random: &mut Random) -> UpdateRow {
    let state = if random.below(5_000) == 0 { State::Attention } else { state };
    UpdateRow {
        device: DeviceId(id),
        rollout: Some(RolloutId(1 + id % 3)),
        release: ReleaseId(7),
        stage: 0,
        before: (u64::MAX - u64::from(id), 0x1234_5678_9ABC_DEF0),
        update: Update { state, ..Update::new(true, NOW) },
    }
}

fn filters(store: &Sqlite, devices: u32) -> Result<(), Failure> {
    let mut reader = store.reader()?;
    println!(
        "{:<46} {:>9} {:>9} {:>9} {:>9} {:>9}",
        "filter", "devices", "count", "ids", "page 50%", "page 99%"
    );
    for text in [
        "",
        "site:site-7",
        "tag:rare",
        "tag:half",
        "-tag:half",
        "board:D1-mini",
        "family:esp32",
        "standing:pending",
        "standing:accepted",
        "source:homie",
        "firmware:socket",
        "version:1.2.3",
        "version<1.1.5",
        "version>=1.0",
        "release:7",
        "state:attention",
        "state:queued",
        "rollout:2",
        "seen<7d",
        "seen>7d",
        "mac:5C:CF:7F:00:10",
        "id:77",
        "tag:half standing:accepted",
        "tag:rare standing:accepted seen<7d",
        "site:site-7 tag:half version<1.3",
        "site:site-7 site:site-8",
        "family:esp32 source:homie firmware:socket -tag:half",
        "state:attention or standing:pending or seen>7d",
        "-standing:accepted -state:queued",
        "tag:half source:homie -family:esp8266 -family:esp32",
        "name~7777",
        "kitchen",
        "aabbcc",
    ] {
        let filter = Filter::parse(text)?;
        let count = time(5, || reader.count(&filter, NOW))?;
        let found = reader.count(&filter, NOW)?;
        let ids = time(3, || reader.device_ids(&filter, NOW))?;
        let mut random = Random(3);
        let mut pages = Vec::new();
        for number in 0..100 {
            let after = (number > 0).then(|| DeviceId(random.below(devices)));
            pages.push(time(1, || reader.devices(&filter, Page { after, rows: ROWS }, NOW))?);
        }
        pages.sort();
        println!("{text:<46} {found:>9} {count:>9.1?} {ids:>9.1?} {:>9.1?} {:>9.1?}", pages[50], pages[98]);
    }
    let first = Page { after: None, rows: ROWS };
    let of_rollout = time(20, || reader.updates(RolloutId(2), Some(State::Attention), first))?;
    let events = time(20, || reader.events(None, Page { after: None, rows: ROWS }))?;
    let one = time(100, || reader.device(DeviceId(devices / 2)))?;
    println!(
        "updates of a rollout in one state {of_rollout:.1?}, newest events {events:.1?}, a device {one:.1?}"
    );
    Ok(())
}

/// The median time of some runs.
fn time<T, E>(runs: usize, mut run: impl FnMut() -> Result<T, E>) -> Result<Duration, E> {
    let mut times = Vec::with_capacity(runs);
    for _ in 0..runs {
        let begun = Instant::now();
        run()?;
        times.push(begun.elapsed());
    }
    times.sort();
    Ok(times[runs / 2])
}

fn seen(store: &mut Sqlite, devices: u32) -> Result<(), Failure> {
    let mut random = Random(Instant::now().elapsed().as_nanos() as u64 | 1);
    let rows = (0..10_000).map(|_| LastSeen {
        device: DeviceId(1 + random.below(devices)),
        at: NOW + u64::from(random.below(60)),
        interval: vec![9; 17],
        address: None,
    });
    let batch = [Write::LastSeen(rows.collect())];
    let begun = Instant::now();
    store.apply(&batch)?;
    let rate = 10_000.0 / begun.elapsed().as_secs_f64();
    println!("last contacts: a batch of 10000 in {:.1?}, {rate:.0} a second", begun.elapsed());
    Ok(())
}

/// A transition and where to say that it is durable.
type Order = (Vec<Write>, mpsc::SyncSender<()>);

/// Threads that each wait for their transition, through one thread that writes whatever has come.
fn transitions(mut store: Sqlite, devices: u32) -> Result<(), Failure> {
    const SECONDS: u64 = 10;
    let (orders, queue) = mpsc::channel::<Order>();
    let end = Instant::now() + Duration::from_secs(SECONDS);
    let askers: Vec<_> = (0..WAITING)
        .map(|number| {
            let orders = orders.clone();
            thread::spawn(move || ask(number, devices, end, &orders))
        })
        .collect();
    drop(orders);
    let mut batches = 0_u32;
    while let Ok((mut batch, first)) = queue.recv() {
        let mut waiting = vec![first];
        for (writes, from) in queue.try_iter() {
            batch.extend(writes);
            waiting.push(from);
        }
        store.apply(&batch)?;
        batches += 1;
        for from in waiting {
            // An asker whose time is over does not listen.
            let _ = from.send(());
        }
    }
    let mut times: Vec<Duration> =
        askers.into_iter().filter_map(|asker| asker.join().ok()).flatten().collect();
    times.sort();
    println!(
        "transitions: {:.0} a second, {:.1} in a transaction; an answer takes {:.1?}, 99 % at most {:.1?}, all {:.1?}",
        times.len() as f64 / SECONDS as f64,
        times.len() as f64 / f64::from(batches),
        times[times.len() / 2],
        times[times.len() * 99 / 100],
        times[times.len() - 1],
    );
    Ok(())
}

fn ask(number: u32, devices: u32, end: Instant, orders: &mpsc::Sender<Order>) -> Vec<Duration> {
    const PATH: [State; 5] = [State::Queued, State::Sending, State::Served, State::Confirmed, State::Settled];
    let mut random = Random(u64::from(number) + 1);
    let mut times = Vec::new();
    let (done, answer) = mpsc::sync_channel(1);
    while Instant::now() < end {
        let begun = Instant::now();
        let state = PATH[random.below(5) as usize];
        let id = 1 + random.below(devices);
        let event = EventRow {
            device: DeviceId(id),
            at: NOW + times.len() as u64,
            code: state.name().to_owned(),
            text: "the image was sent; the device must come back as it".to_owned(),
            rollout: Some(RolloutId(1 + id % 3)),
        };
        let writes = vec![Write::Update(update(id, state, &mut random)), Write::Event(event)];
        if orders.send((writes, done.clone())).is_err() || answer.recv().is_err() {
            break;
        }
        times.push(begun.elapsed());
    }
    times
}
