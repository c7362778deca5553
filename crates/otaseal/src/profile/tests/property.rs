//! The judgement against the model, for every core, every way, and images of every kind.

use super::*;
use crate::profile::model::{End, Esp8266, Sent, Way};
use crate::testing::esp_image_with;
use proptest::prelude::*;

/// What is wrong with an image.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Flaw {
    None,
    /// The build wrote no length and no CRC.
    NoWords,
    Crc,
    ApplicationData,
    BootLoaderData,
    CutOff,
    /// The first byte is that of another format.
    FirstByte,
}

/// How an image is packed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Packing {
    Plain,
    Gzip,
    WrongCrc,
    HeaderCrc,
    /// Another method than deflate.
    Method,
    TrailingZeros,
    TwoMembers,
    /// The length is too high or too low by this.
    Length(i32),
}

#[derive(Debug, Clone)]
struct Case {
    core: (u16, u16, u16),
    has_key: bool,
    chip: usize,
    free_sectors: usize,
    running: (u8, u8, u32),
    image: (u8, u8, u32),
    flaw: Flaw,
    packing: Packing,
    /// Nothing, a signature, a legacy signature.
    signed: Option<Scheme>,
    via: Via,
}

fn cases() -> impl Strategy<Value = Case> {
    let core = prop::sample::select(vec![
        (2, 3, 0),
        (2, 4, 2),
        (2, 5, 2),
        (2, 6, 3),
        (2, 7, 0),
        (2, 7, 4),
        (3, 0, 0),
        (3, 0, 2),
        (3, 1, 0),
        (3, 1, 2),
        (3, 1, 3),
    ]);
    let flaw = prop_oneof![
        6 => Just(Flaw::None),
        1 => prop::sample::select(vec![Flaw::NoWords, Flaw::Crc, Flaw::ApplicationData, Flaw::BootLoaderData, Flaw::CutOff, Flaw::FirstByte]),
    ];
    let packing = prop_oneof![
        4 => Just(Packing::Plain),
        6 => Just(Packing::Gzip),
        2 => prop::sample::select(vec![Packing::WrongCrc, Packing::HeaderCrc, Packing::Method, Packing::TrailingZeros, Packing::TwoMembers]),
        1 => prop::sample::select(vec![-5000, -1, 1, 5000]).prop_map(Packing::Length),
    ];
    let size = || prop_oneof![6 => Just(0x20u8), 2 => Just(0x40), 1 => prop::sample::select(vec![0x00, 0x30, 0x90, 0xA0])];
    let signed = prop::sample::select(vec![
        None,
        None,
        Some(Scheme::Pkcs1v15Sha256),
        Some(Scheme::Pkcs1v15Sha256),
        Some(Scheme::Legacy),
    ]);
    let device = (core, any::<bool>(), prop::sample::select(vec![1 << 20, 4 << 20]), 0usize..40);
    let running = (0u8..4, prop_oneof![8 => Just(0x20u8), 1 => Just(0x40)], 100u32..40_000);
    let image = (prop_oneof![8 => 0u8..4, 1 => 4u8..=255], size(), 0u32..60_000);
    (device, running, image, flaw, packing, signed, prop::sample::select(Via::ALL.to_vec())).prop_map(
        |((core, has_key, chip, free_sectors), running, image, flaw, packing, signed, via)| Case {
            core,
            has_key,
            chip,
            free_sectors,
            running,
            image,
            flaw,
            packing,
            signed,
            via,
        },
    )
}

impl Case {
    /// The plain image, and whether the boot path starts it.
    fn plain(&self) -> (Vec<u8>, bool) {
        let (mode, size, program) = self.image;
        let mut image = esp_image_with(mode, size, program);
        match self.flaw {
            Flaw::None => return (image, true),
            Flaw::NoWords => image[0x1010..0x1018].fill(0),
            Flaw::Crc => image[0x1014] ^= 0x55,
            Flaw::ApplicationData => *image.last_mut().unwrap() ^= 0x55,
            Flaw::BootLoaderData => image[0x11] ^= 0x55,
            Flaw::CutOff => image.truncate(image.len() - 17),
            Flaw::FirstByte => image[0] = 0xEA,
        }
        (image, matches!(self.flaw, Flaw::NoWords | Flaw::Crc | Flaw::ApplicationData))
    }

    fn payload(&self, plain: &[u8]) -> Vec<u8> {
        let mut packed = match self.packing {
            Packing::Plain => return plain.to_vec(),
            _ => gzip(plain, Effort::Fast).unwrap(),
        };
        let end = packed.len();
        match self.packing {
            Packing::WrongCrc => packed[end - 8] ^= 1,
            Packing::HeaderCrc => {
                let body = gzip::header_len(&packed).unwrap();
                packed[3] |= 2;
                packed.splice(body..body, [1, 2]);
            }
            Packing::Method => packed[2] = 7,
            Packing::TrailingZeros => packed.extend([0; 4]),
            Packing::TwoMembers => packed.extend(gzip(&plain[..plain.len() - 1], Effort::Fast).unwrap()),
            Packing::Length(by) => {
                let length = (plain.len() as i32 + by) as u32;
                packed[end - 4..].copy_from_slice(&length.to_le_bytes());
            }
            Packing::Plain | Packing::Gzip => {}
        }
        packed
    }

    fn device(&self, sent: &[u8]) -> Esp8266 {
        let (mode, size, program) = self.running;
        let running = esp_image_with(mode, size, program);
        // From too little room to more than enough.
        let sketch = running.len().div_ceil(4096);
        let sectors = sketch + (sent.len().div_ceil(4096) + self.free_sectors).saturating_sub(4);
        Esp8266 { core: self.core, has_key: self.has_key, chip: self.chip, fs_start: sectors * 4096, running }
    }
}

/// What the model's flash shows.
fn seen(case: &Case, device: &Esp8266, sent: &Sent, plain: &[u8], boots: bool) -> String {
    let way = match case.via {
        Via::Http => Way::Pull,
        Via::Espota => Way::Espota,
        Via::Form => Way::Form,
    };
    let flash = match device.deliver(sent, way) {
        End::Error(code) => return format!("refuses {code}"),
        End::Flash(flash) => flash,
    };
    let gzip = case.packing != Packing::Plain;
    let mode = device.running[2];
    let mut meant = plain.to_vec();
    if !gzip && case.core >= (2, 4, 2) {
        meant[2] = mode;
    }
    // eboot writes as many bytes as the gzip says, also into the filesystem.
    let stated = match case.packing {
        // Below zero, it is no length at all.
        Packing::Length(by) => plain.len().saturating_add_signed(by as isize),
        _ => plain.len(),
    };
    let intact = flash[device.fs_start..].iter().all(|byte| *byte == 0x46);
    if !flash.starts_with(&meant) {
        let old = flash.starts_with(&device.running) && intact;
        return if old { "keeps" } else { "bricks" }.into();
    }
    let beyond = gzip && stated.next_multiple_of(4096) > device.fs_start;
    if !intact || beyond || case.flaw == Flaw::FirstByte {
        return "bricks".into();
    }
    if !boots {
        return "no boot".into();
    }
    if gzip {
        let known = case.image.0 < 4;
        if known && case.image.0 != mode && case.image.0 != 3 {
            return "bricks".into();
        }
        let size = [(0x30, 2 << 20), (0x40, 4 << 20), (0x90, 16 << 20)];
        if size.iter().any(|(byte, bytes)| case.image.1 == *byte && *bytes > case.chip) {
            return "last".into();
        }
    }
    "ok".into()
}

fn judged(case: &Case, device: &Esp8266, sent: &Sent, key: &PublicKey) -> String {
    let (major, minor, patch) = case.core;
    let unsigned = if case.has_key { "" } else { "/unsigned" };
    let profile = format!("esp8266@{major}.{minor}.{patch}{unsigned}").parse().unwrap();
    let via = [case.via];
    let mut it = Device::new(profile, Some(key));
    it.flash = Some(Flash { fs_start: device.fs_start as u32, installed: Some(device.running.len() as u32) });
    it.flash_bytes = Some(case.chip as u32);
    it.running_flash_bytes = crate::format::image::esp8266::stated_flash_bytes(&device.running);
    it.flash_mode = FlashMode::from_byte(device.running[2]);
    it.via = Some(&via);
    let judgement = judge(&sent.bytes, &it);
    // Everything is known, but for the header that the server sends.
    assert!(judgement.assumed.iter().all(|what| *what == Assumption::Md5Sent), "{:?}", judgement.assumed);
    match judgement.verdict {
        Verdict::Refuses { code: Some(code), .. } => format!("refuses {code}"),
        verdict => brief(&verdict),
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(3000))]

    #[test]
    fn every_verdict_is_what_the_flash_shows(case in cases()) {
        let bench = Bench::new();
        let (plain, boots) = case.plain();
        let payload = case.payload(&plain);
        let bytes = match case.signed {
            Some(scheme) => bench.signed(&payload, scheme),
            None => payload.clone(),
        };
        let signed = case.signed.map(|scheme| (payload, scheme == Scheme::Legacy));
        let sent = Sent { bytes, signed };
        let device = case.device(&sent.bytes);
        prop_assume!(device.fs_start + 4096 <= device.chip);
        let seen = seen(&case, &device, &sent, &plain, boots);
        prop_assert_eq!(judged(&case, &device, &sent, bench.key.public()), seen);
    }
}
