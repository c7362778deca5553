//! Rows for tests: random ones, and hostile ones.

use std::collections::BTreeMap;

use otaseal::format::digest::{Md5Digest, Sha256Digest};
use otaseal_delivery::device::{Family, Mac};
use proptest::prelude::*;
use proptest::strategy::ValueTree;
use proptest::test_runner::TestRunner;

use super::Fleet;
use crate::filter::tests::awkward;
use crate::rollout::gate::Rate;
use crate::rollout::loads::Loads;
use crate::rollout::machine::{Counts, Rollout, Stop};
use crate::rollout::plan::{Plan, Stage};
use crate::rollout::update::{State, Tries, Update, Why};
use crate::store::Write;
use crate::store::rows::*;

/// The time of the tests.
pub(super) const NOW: u64 = 1_800_000_000;

/// Texts that break careless code. No two are equal.
pub(super) const HOSTILE: [&str; 22] = [
    "'",
    "\"",
    "`",
    "\\",
    "';",
    "'; DROP TABLE devices; --",
    "' OR '1'='1",
    "\") OR 1=1 --",
    "%",
    "_",
    "%_%",
    "NULL",
    "?1",
    "$1",
    ":device",
    "a\0b",
    "line\nbreak\r\n\ttab",
    "\u{1b}[31m",
    "\u{1F980}\u{10FFFF}",
    "\u{202E}\u{FEFF}e\u{301}",
    "SELECT * FROM tokens",
    "x'00'",
];

/// One row of each kind.
#[derive(Debug, Clone)]
pub(super) struct Rows {
    pub(super) device: DeviceRow,
    pub(super) update: UpdateRow,
    pub(super) event: EventRow,
    pub(super) release: ReleaseRow,
    pub(super) rollout: RolloutRow,
    pub(super) filter: FilterRow,
    pub(super) token: TokenRow,
    pub(super) audit: AuditRow,
}

impl Rows {
    /// The writes that put them down.
    pub(super) fn writes(&self) -> Vec<Write> {
        let rows = self.clone();
        vec![
            Write::Device(Box::new(rows.device)),
            Write::Update(rows.update),
            Write::Event(rows.event),
            Write::Release(Box::new(rows.release)),
            Write::Rollout(Box::new(rows.rollout)),
            Write::Filter(rows.filter),
            Write::Token(rows.token),
            Write::Audit(rows.audit),
        ]
    }

    /// Sets every text column to this.
    pub(super) fn set_texts(&mut self, text: &str) {
        let text = || text.to_owned();
        let device = &mut self.device;
        for column in [&mut device.name, &mut device.site, &mut device.note, &mut device.said] {
            *column = text();
        }
        for column in [
            &mut device.chip_id,
            &mut device.board,
            &mut device.profile,
            &mut device.firmware,
            &mut device.version,
            &mut device.sdk,
            &mut device.core_at_least,
            &mut device.homie,
            &mut device.address,
        ] {
            *column = Some(text());
        }
        device.tags = vec![text()];
        (self.event.code, self.event.text) = (text(), text());
        let release = &mut self.release;
        for column in [
            &mut release.firmware,
            &mut release.version,
            &mut release.manifest,
            &mut release.notes,
            &mut release.by,
        ] {
            *column = text();
        }
        (release.board, release.key_id) = (Some(text()), Some(text()));
        release.files = vec![FileRow { name: text(), sha256: text(), bytes: 1 }];
        (self.rollout.name, self.rollout.by, self.rollout.plan.target) = (text(), text(), text());
        self.rollout.state.paused = Some(Stop::Wrong { why: text() });
        (self.filter.name, self.filter.text, self.token.name) = (text(), text(), text());
        let audit = &mut self.audit;
        for column in
            [&mut audit.actor, &mut audit.action, &mut audit.object, &mut audit.before, &mut audit.after]
        {
            *column = text();
        }
    }
}

/// An update that waits.
pub(super) fn queued() -> Update {
    Update::new(true, NOW)
}

/// A line of the audit log.
pub(super) fn line() -> AuditRow {
    AuditRow {
        number: 1,
        at: NOW,
        actor: "anna".into(),
        action: "rollout.pause".into(),
        object: "rollout/7".into(),
        before: "{}".into(),
        after: String::new(),
        hash: [1; 32],
    }
}

/// A few rows that differ in everything that matters. They are the same in every run.
pub(super) fn some<const N: usize>() -> [Rows; N] {
    let mut runner = TestRunner::deterministic();
    let strategy = all();
    std::array::from_fn(|number| {
        let mut rows = strategy.new_tree(&mut runner).unwrap().current();
        let number = number as u32 + 1;
        rows.device.id = DeviceId(number);
        rows.device.mac = Some(Mac([0x5C, 0xCF, 0x7F, 0, 0, number as u8]));
        rows.device.tags = vec!["a".into(), format!("tag {number}")];
        rows.event.device = rows.device.id;
        rows.release.id = ReleaseId(number);
        rows.rollout.id = RolloutId(number);
        rows.filter.name = format!("filter {number}");
        rows.token.id = TokenId(number);
        rows.audit.number = number.into();
        rows
    })
}

fn text() -> impl Strategy<Value = String> {
    prop_oneof![
        6 => awkward(),
        2 => prop::sample::select(HOSTILE.to_vec()).prop_map(str::to_owned),
        1 => Just(String::new()),
        1 => "\\PC{0,300}",
    ]
}

fn some_text() -> impl Strategy<Value = Option<String>> {
    prop::option::of(text())
}

fn number() -> impl Strategy<Value = u64> {
    prop_oneof![3 => any::<u64>(), 1 => Just(u64::MAX), 1 => Just(0), 3 => 0..1_000_u64]
}

fn some_number() -> impl Strategy<Value = Option<u64>> {
    prop::option::of(number())
}

/// A time that a clock could show.
fn time() -> impl Strategy<Value = u64> {
    prop_oneof![
        Just(0),
        0..2 * NOW,
        (0..9_u64, prop::sample::select(vec![1, 60, 3_600, 86_400, 604_800]), 0..3_u64)
            .prop_map(|(count, unit, more)| NOW + 1 - count * unit - more)
    ]
}

fn version() -> impl Strategy<Value = String> {
    let versions = vec![
        "1",
        "1.0",
        "1.2.3",
        "1.2.3-rc.1",
        "1.2.3-rc.2",
        "v2",
        "1.10",
        "1.9",
        "0",
        "abc",
        "1.x",
        "1.2.3+b",
    ];
    prop_oneof![4 => prop::sample::select(versions).prop_map(str::to_owned), 1 => text()]
}

fn device() -> impl Strategy<Value = DeviceRow> {
    let identity = (
        1..70_u32,
        prop::option::of(prop::sample::select(vec![Family::Esp8266, Family::Esp32, Family::Rp2040])),
        prop::option::of(prop::array::uniform6(0x5B..0x5D_u8)),
        some_text(),
        prop::sample::select(Standing::ALL.to_vec()),
        prop::sample::select(Source::ALL.to_vec()),
    );
    let person =
        (text(), text(), prop::collection::btree_set(text(), 0..4), text(), some_text(), some_text());
    let runs = (
        some_text(),
        prop::option::of(version()),
        any::<Option<[u8; 16]>>(),
        any::<Option<[u8; 32]>>(),
        prop::option::of(1..5_u32),
    );
    let sizes = (some_number(), some_number(), some_number(), some_text(), some_text(), any::<Option<u8>>());
    let rest =
        (some_text(), text(), some_text(), number(), time(), prop::collection::vec(any::<u8>(), 0..20));
    (identity, person, runs, sizes, rest).prop_map(|(identity, person, runs, sizes, rest)| DeviceRow {
        id: DeviceId(identity.0),
        family: identity.1,
        mac: identity.2.map(Mac),
        chip_id: identity.3,
        standing: identity.4,
        source: identity.5,
        name: person.0,
        site: person.1,
        tags: person.2.into_iter().collect(),
        note: person.3,
        board: person.4,
        profile: person.5,
        firmware: runs.0,
        version: runs.1,
        md5: runs.2.map(Md5Digest),
        sha256: runs.3.map(Sha256Digest),
        running: runs.4.map(ReleaseId),
        sketch_bytes: sizes.0,
        free_bytes: sizes.1,
        chip_bytes: sizes.2,
        sdk: sizes.3,
        core_at_least: sizes.4,
        signal: sizes.5,
        homie: rest.0,
        said: rest.1,
        address: rest.2,
        first_seen: rest.3,
        last_seen: rest.4,
        interval: rest.5,
    })
}

fn update() -> impl Strategy<Value = UpdateRow> {
    let place = (prop::option::of(0..5_u32), 0..9_u32, any::<u8>(), any::<(u64, u64)>());
    let state = (
        prop::sample::select(State::ALL.to_vec()),
        prop::sample::select(Why::ALL.to_vec()),
        number(),
        some_number(),
        any::<(u8, u8, u8)>(),
        any::<u8>(),
        any::<u16>(),
        (number(), any::<u8>(), number(), number()),
    );
    (1..70_u32, place, state).prop_map(|(device, place, state)| UpdateRow {
        device: DeviceId(device),
        rollout: place.0.map(RolloutId),
        release: ReleaseId(place.1),
        stage: place.2,
        before: place.3,
        update: Update {
            state: state.0,
            why: state.1,
            since: state.2,
            deadline: state.3,
            tries: Tries { not_applied: state.4.0, refused: state.4.1, network: state.4.2 },
            proofs: state.5,
            attempt: state.6,
            loads: Loads { hour: (state.7.0, state.7.1), day: (state.7.2, state.7.3) },
        },
    })
}

fn event() -> impl Strategy<Value = EventRow> {
    (1..70_u32, time(), text(), text(), prop::option::of(0..5_u32)).prop_map(
        |(device, at, code, text, rollout)| EventRow {
            device: DeviceId(device),
            at,
            code,
            text,
            rollout: rollout.map(RolloutId),
        },
    )
}

fn release() -> impl Strategy<Value = ReleaseRow> {
    let files = prop::collection::vec((text(), text(), number()), 0..3);
    let what = (1..9_u32, text(), text(), some_text(), text(), files, some_text());
    (what, any::<(bool, bool)>(), text(), some_number(), text(), time()).prop_map(
        |(what, (withdrawn, security), notes, support_until, by, at)| ReleaseRow {
            id: ReleaseId(what.0),
            firmware: what.1,
            version: what.2,
            board: what.3,
            manifest: what.4,
            files: what.5.into_iter().map(|(name, sha256, bytes)| FileRow { name, sha256, bytes }).collect(),
            key_id: what.6,
            offered: if withdrawn { Offered::Withdrawn } else { Offered::Yes },
            notes,
            support_until,
            security,
            by,
            at,
        },
    )
}

fn rollout() -> impl Strategy<Value = RolloutRow> {
    let stop = prop_oneof![
        Just(None),
        Just(Some(Stop::SilentInARow)),
        text().prop_map(|file| Some(Stop::Damaged { file })),
        number().prop_map(|bad| Some(Stop::Failures {
            bad,
            decided: bad,
            bound: Rate(1),
            tolerated: Rate(2)
        })),
    ];
    let state = (stop, prop::collection::vec(update(), 0..30), prop::collection::vec(any::<bool>(), 0..5));
    (1..9_u32, text(), 1..9_u32, some_text(), state, prop::collection::vec(number(), 0..4), text(), time())
        .prop_map(|(id, name, release, only, (paused, moved, last), places, by, at)| {
            let mut counts = Counts::default();
            moved.iter().for_each(|row| counts.add(&row.update));
            let stages = vec![Stage { only, ..Stage::default() }, Stage::default()];
            let state = Rollout { paused, last: last.into(), forgiven: (at, u64::MAX), ..Rollout::new(at) };
            RolloutRow {
                id: RolloutId(id),
                name: name.clone(),
                release: ReleaseId(release),
                plan: Plan { target: name, stages, deadline: at, ..Plan::default() },
                state,
                counts,
                places,
                by,
                at,
            }
        })
}

fn token() -> impl Strategy<Value = TokenRow> {
    (1..9_u32, text(), any::<[u8; 32]>(), any::<u32>(), number(), some_number(), some_number()).prop_map(
        |(id, name, hash, scopes, at, expires, revoked)| TokenRow {
            id: TokenId(id),
            name,
            hash,
            scopes,
            at,
            expires,
            revoked,
        },
    )
}

fn audit() -> impl Strategy<Value = AuditRow> {
    (time(), text(), text(), text(), text(), text(), any::<[u8; 32]>()).prop_map(
        |(at, actor, action, object, before, after, hash)| AuditRow {
            number: 1,
            at,
            actor,
            action,
            object,
            before,
            after,
            hash,
        },
    )
}

/// One row of each kind.
pub(super) fn all() -> impl Strategy<Value = Rows> {
    let filter = (text(), text()).prop_map(|(name, text)| FilterRow { name, text });
    let strategies = (device(), update(), event(), release(), rollout(), filter, token(), audit());
    strategies.prop_map(|(device, update, event, release, rollout, filter, token, audit)| Rows {
        device,
        update,
        event,
        release,
        rollout,
        filter,
        token,
        audit,
    })
}

/// Some devices, a few of them with numbers far from the others.
pub(super) fn fleet() -> impl Strategy<Value = Fleet> {
    let id = prop_oneof![
        12 => 1..70_u32,
        3 => 1..3_000_u32,
        2 => 1..2_000_000_u32,
        1 => prop::sample::select(vec![u32::MAX, u32::MAX - 1, 1 << 22, (1 << 22) + 1]),
    ];
    let update = prop::option::of(update());
    prop::collection::vec((id, device(), update), 0..60).prop_map(|rows| {
        let mut fleet = BTreeMap::new();
        for (id, mut device, mut update) in rows {
            let id = DeviceId(id);
            device.id = id;
            update.iter_mut().for_each(|update| update.device = id);
            fleet.insert(id, (device, update));
        }
        fleet
    })
}
