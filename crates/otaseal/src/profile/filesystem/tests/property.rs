//! The judgement of filesystem images against the model, for every core and way.

use super::*;
use crate::profile::model::{End, Esp8266, Sent, Way};
use crate::testing::esp_image_with;
use proptest::prelude::*;

const BLOCK: usize = 4096;

#[derive(Debug, Clone)]
struct Case {
    core: (u16, u16, u16),
    has_key: bool,
    atomic: bool,
    /// Blocks of the device's filesystem, and how many of them the image leaves out.
    blocks: usize,
    missing: usize,
    gzip: bool,
    signed: Option<Scheme>,
    free_sectors: usize,
    larger_header: bool,
    via: Via,
}

fn cases() -> impl Strategy<Value = Case> {
    let cores = vec![(2, 4, 2), (2, 5, 2), (2, 6, 3), (2, 7, 4), (3, 0, 2), (3, 1, 0), (3, 1, 2), (3, 1, 3)];
    let schemes = vec![None, Some(Scheme::Pkcs1v15Sha256), Some(Scheme::Legacy)];
    let image = (3usize..20, 0usize..3, any::<bool>(), prop::sample::select(schemes));
    let device = (prop::sample::select(cores), any::<bool>(), any::<bool>(), 0usize..40);
    let rest = (prop::bool::weighted(0.1), prop::sample::select(Via::ALL.to_vec()));
    (device, image, rest).prop_map(
        |((core, has_key, atomic, free_sectors), (blocks, missing, gzip, signed), (larger_header, via))| {
            Case { core, has_key, atomic, blocks, missing, gzip, signed, free_sectors, larger_header, via }
        },
    )
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(1000))]

    #[test]
    fn every_verdict_is_what_the_flash_shows(case in cases()) {
        let key = key();
        let area = case.blocks * BLOCK;
        let plain = with_contents(littlefs(BLOCK as u32, (case.blocks - case.missing.min(case.blocks - 3)) as u32));
        let payload = if case.gzip { packed(&plain) } else { plain.clone() };
        let bytes = match case.signed {
            Some(scheme) => crate::testing::signed(&payload, &key, scheme),
            None => payload.clone(),
        };
        let sent = Sent { bytes, signed: case.signed.map(|scheme| (payload, scheme == Scheme::Legacy)) };
        let running = esp_image_with(2, if case.larger_header { 0x40 } else { 0x20 }, 20_000);
        let fs_start = running.len().next_multiple_of(BLOCK) + case.free_sectors * BLOCK;
        let device =
            Esp8266 { core: case.core, has_key: case.has_key, chip: 1 << 20, fs_start, running: running.clone() };

        let way = match case.via {
            Via::Http => Way::Pull,
            Via::Espota => Way::Espota,
            Via::Form => Way::Form,
        };
        let whole = plain.len() == area || case.core < (3, 1, 0);
        let seen = match device.deliver_filesystem(&sent, way, area, case.atomic) {
            End::Error(code) => format!("refuses {code}"),
            End::Flash(flash) if whole && flash[fs_start..].starts_with(&plain) => "accepts".into(),
            End::Flash(_) => "not mounted".into(),
        };

        let (major, minor, patch) = case.core;
        let unsigned = if case.has_key { "" } else { "/unsigned" };
        let profile = format!("esp8266@{major}.{minor}.{patch}{unsigned}");
        let judged = judged(&profile, &sent.bytes, |device| {
            let mut flash = Flash::new(fs_start as u32);
            flash.installed = Some(running.len() as u32);
            let mut room = FileSystemArea::new(area as u32);
            room.block_bytes = Some(BLOCK as u32);
            (device.flash, device.filesystem) = (Some(flash), Some(room));
            device.flash_bytes = Some(1 << 20);
            device.running_flash_bytes = Some(if case.larger_header { 4 << 20 } else { 1 << 20 });
            device.atomic_fs_update = case.atomic;
        });
        let verdict = judged.by_way.iter().find(|way| way.via == case.via).map_or(&judged.verdict, |way| &way.verdict);
        let found = match verdict {
            Verdict::Accepts => "accepts".into(),
            Verdict::Refuses { code: Some(code), .. } => format!("refuses {code}"),
            Verdict::InstallsButWillNotBoot { .. } | Verdict::Bricks { .. } => "not mounted".into(),
            other => panic!("{other}"),
        };
        prop_assert_eq!(found, seen);
    }
}
