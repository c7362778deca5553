//! What the firmware does with messages: no sockets here.

use base64ct::{Base64, Encoding};
use otaseal::format::digest::Md5Digest;
use otaseal::format::image::Content;
use otaseal::profile::{HomieMd5, Via};

use super::super::board::Answer;
use super::{Device, Release, configuration};

/// A message that the device publishes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Said {
    pub(super) topic: String,
    pub(super) payload: Vec<u8>,
    pub(super) qos: u8,
    pub(super) retained: bool,
}

/// What the device does after a message.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Next {
    Stays,
    /// It restarts when its sketch is idle.
    Restarts,
    /// It loses its connection now.
    Drops,
    /// It erases its configuration.
    Forgets,
}

/// The state of a running firmware.
#[derive(Debug, Default)]
pub(super) struct Brain {
    update: Update,
    /// Of the branch develop: counted over all uploads, never reset.
    chunks: u32,
    small: Vec<u8>,
    pub(super) ongoing: bool,
    pub(super) said: Vec<Said>,
}

#[derive(Debug, Default)]
enum Update {
    #[default]
    None,
    /// The rest of the payload is drained.
    Ignores,
    Receives {
        bytes: Vec<u8>,
        base64: bool,
        phases_ok: bool,
        md5: String,
    },
}

/// Largest payload of other messages: the real device has less memory.
const SMALL: usize = 4096;

impl Brain {
    /// Takes one chunk of a payload. `index` is its offset in `total` bytes.
    pub(super) fn chunk(
        &mut self,
        device: &mut Device,
        topic: &str,
        chunk: &[u8],
        index: usize,
        total: usize,
    ) -> Next {
        let Some(tail) = topic.strip_prefix(&device.topic("")) else { return Next::Stays };
        if let Some(md5) = tail.strip_prefix("$implementation/ota/firmware/")
            && device.release != Release::V1
            && !md5.contains('/')
        {
            return self.firmware(device, md5, chunk, index, total);
        }
        if total > SMALL {
            return Next::Stays;
        }
        if index == 0 {
            self.small.clear();
        }
        self.small.extend_from_slice(chunk);
        if self.small.len() < total {
            return Next::Stays;
        }
        let payload = std::mem::take(&mut self.small);
        match tail {
            "$ota" if device.release == Release::V1 => self.trigger(device, &payload),
            "$implementation/config/set" => {
                let topic = device.topic(tail);
                self.said.push(Said { topic, payload: Vec::new(), qos: 1, retained: true });
                match configuration::patched(&device.config, &payload) {
                    Some(config) => {
                        device.config = config;
                        Next::Restarts
                    }
                    None => Next::Stays,
                }
            }
            "$implementation/reset" if payload == b"true" => {
                let topic = device.topic(tail);
                self.said.push(Said { topic, payload: b"false".into(), qos: 1, retained: true });
                Next::Forgets
            }
            _ => Next::Stays,
        }
    }

    fn firmware(&mut self, device: &mut Device, md5: &str, chunk: &[u8], index: usize, total: usize) -> Next {
        if index == 0 {
            self.begin(device, md5, chunk, total);
        }
        let Update::Receives { bytes, phases_ok, base64, .. } = &mut self.update else {
            return Next::Stays;
        };
        *phases_ok &= matches!(index % 4, 0 | 3);
        bytes.extend_from_slice(chunk);
        let (done, base64) = (bytes.len(), *base64);
        if device.quirks.cuts > 0 && done >= total / 2 {
            device.quirks.cuts -= 1;
            self.update = Update::None;
            return Next::Drops;
        }
        self.chunks += 1;
        if device.release != Release::Develop || self.chunks > 100 {
            let scale = |bytes: usize| if base64 { bytes / 4 * 3 } else { bytes };
            self.status(device, &format!("206 {}/{}", scale(done), scale(total)));
            self.chunks = 1;
        }
        if done < total {
            return Next::Stays;
        }
        self.finish(device)
    }

    fn begin(&mut self, device: &Device, md5: &str, chunk: &[u8], total: usize) {
        self.update = Update::Ignores;
        if !device.ota_enabled() {
            return self.status(device, "403");
        }
        if md5.len() != 32 || !md5.bytes().all(|byte| byte.is_ascii_hexdigit()) {
            return self.status(device, "400 BAD_CHECKSUM");
        }
        // Case-sensitive: the device's own is lower-case.
        if md5 == device.board.sketch_md5().to_string() {
            return self.status(device, "304");
        }
        self.ongoing = true;
        self.status(device, "202");
        let base64 = match chunk {
            [0xE9, ..] => false,
            [b'6', b'Q'..=b'Z' | b'a'..=b'f', ..] if total.is_multiple_of(4) => true,
            _ => return self.fails(device, "400 BAD_FIRMWARE"),
        };
        // The updater asks for space first. `Board::receive` says the same of every image that could fit at all.
        if total as u64 > u64::from(device.board.chip_bytes) {
            return self.fails(device, "400 NOT_ENOUGH_SPACE");
        }
        let bytes = Vec::with_capacity(total);
        self.update = Update::Receives { bytes, base64, phases_ok: true, md5: md5.to_ascii_lowercase() };
    }

    fn finish(&mut self, device: &mut Device) -> Next {
        let Update::Receives { mut bytes, base64, phases_ok, md5 } =
            std::mem::replace(&mut self.update, Update::None)
        else {
            return Next::Stays;
        };
        if let Some(status) = device.quirks.left_running.take() {
            self.fails(device, status);
            return Next::Stays;
        }
        if base64 {
            if device.quirks.base64_phase && !phases_ok {
                self.fails(device, "400 BAD_FIRMWARE");
                return Next::Stays;
            }
            bytes = match std::str::from_utf8(&bytes).ok().and_then(|text| Base64::decode_vec(text).ok()) {
                Some(bytes) => bytes,
                None => {
                    self.fails(device, "400 BAD_FIRMWARE");
                    return Next::Stays;
                }
            };
        }
        let checks_md5 = match device.board.profile.behaviour().homie_md5 {
            HomieMd5::Checked => true,
            HomieMd5::CheckedUnsigned => !device.board.profile.verifies(),
            HomieMd5::Void | HomieMd5::NotApplicable => false,
        };
        if checks_md5 && Md5Digest::of(&bytes).to_string() != md5 {
            self.fails(device, "400 BAD_CHECKSUM");
            return Next::Stays;
        }
        match device.board.receive(&bytes, None, Content::Firmware) {
            Answer::Took => {
                self.ongoing = false;
                self.status(device, "200");
                Next::Restarts
            }
            Answer::Refused { prints, .. } => {
                self.fails(device, &prints);
                Next::Stays
            }
        }
    }

    /// Whether it receives an image now.
    pub(super) fn receives(&self) -> bool {
        matches!(self.update, Update::Receives { .. })
    }

    fn fails(&mut self, device: &Device, status: &str) {
        self.ongoing = false;
        self.status(device, status);
    }

    /// Homie 1 acts on another version of at most 16 bytes. It restarts into its update mode, and then again.
    fn trigger(&mut self, device: &mut Device, payload: &[u8]) -> Next {
        let running = device.board.tokens().version.map(|token| token.value.as_str().to_owned());
        if payload.len() > 16 || running.is_some_and(|version| version.as_bytes() == payload) {
            return Next::Stays;
        }
        if let Some(image) = device.pulls.clone() {
            device.board.receive(&image, Some(Via::Http), Content::Firmware);
        }
        Next::Restarts
    }

    fn status(&mut self, device: &Device, text: &str) {
        let topic = device.topic("$implementation/ota/status");
        self.said.push(Said { topic, payload: text.into(), qos: 0, retained: true });
    }
}

/// What the device says after each connect, in its order. `$state` = `ready` comes after the subscriptions.
pub(super) fn advertisement(device: &Device) -> Vec<Said> {
    let tokens = device.board.tokens();
    let text = |token: Option<String>| token.unwrap_or_else(|| "undefined".into());
    let name = text(tokens.name.map(|token| token.value.as_str().to_owned()));
    let version = text(tokens.version.map(|token| token.value.as_str().to_owned()));
    let friendly = device.config.get("name").and_then(|name| name.as_str()).unwrap_or_default();
    let enabled = if device.ota_enabled() { "true" } else { "false" };
    let checksum = device.board.sketch_md5().to_string();
    let config = configuration::published(&device.config);
    let mut lines: Vec<(&str, &str)> = Vec::new();
    match device.release {
        Release::V1 => lines.extend([
            ("$nodes", "light"),
            ("$name", friendly),
            ("$localip", "127.0.0.1"),
            ("$fwname", name.as_str()),
            ("$fwversion", version.as_str()),
        ]),
        release => {
            if release != Release::V2 {
                lines.push(("$state", "init"));
            }
            lines.extend([
                ("$homie", if release == Release::V2 { "2.0.0" } else { "3.0.1" }),
                ("$name", friendly),
                ("$mac", "5C:CF:7F:AA:BB:CC"),
                ("$localip", "127.0.0.1"),
                ("$nodes", "light"),
                ("$stats", "uptime"),
                ("$stats/interval", "60"),
                ("$fw/name", &name),
                ("$fw/version", &version),
            ]);
            if !device.quirks.no_checksum {
                lines.push(("$fw/checksum", &checksum));
            }
            lines.extend([
                ("$implementation", "esp8266"),
                ("$implementation/config", &config),
                ("$implementation/version", "3.0.1"),
                ("$implementation/ota/enabled", enabled),
            ]);
        }
    }
    let said = |(topic, payload): (&str, &str)| Said {
        topic: device.topic(topic),
        payload: payload.into(),
        qos: 1,
        retained: true,
    };
    lines.into_iter().map(said).collect()
}

/// The topic and payload with which the device says that it listens.
pub(super) fn ready(device: &Device) -> Said {
    let (topic, payload) = match device.release {
        Release::V1 | Release::V2 => ("$online", "true"),
        Release::V3 | Release::Develop => ("$state", "ready"),
    };
    Said { topic: device.topic(topic), payload: payload.into(), qos: 1, retained: true }
}

/// What the broker says when the connection breaks.
pub(super) fn will(device: &Device) -> Said {
    let (topic, payload, qos) = match device.release {
        Release::V1 => ("$online", "false", 2),
        Release::V2 => ("$online", "false", 1),
        Release::V3 | Release::Develop => ("$state", "lost", 1),
    };
    Said { topic: device.topic(topic), payload: payload.into(), qos, retained: true }
}

/// The filters of the device, with their QoS.
pub(super) fn filters(device: &Device) -> Vec<(String, u8)> {
    let own = |tail: &str, qos| (device.topic(tail), qos);
    match device.release {
        Release::V1 => vec![own("+/+/set", 2), own("$ota", 1)],
        _ => vec![
            own("$implementation/ota/firmware/+", 1),
            own("$implementation/reset", 1),
            own("$implementation/config/set", 1),
            own("+/+/set", 2),
            (format!("{}$broadcast/+", device.base), 2),
        ],
    }
}
