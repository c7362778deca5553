//! What the device understands of a datagram.

use std::fmt::Write;

use md5::Md5;
use sha2::{Digest, Sha256};

use super::{Kept, Settings};

/// Most digits of a number: `data[16]` of `parseInt`, with its end.
const MAX_DIGITS: usize = 15;

/// What a host announced.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Invitation {
    /// 0 for firmware, 100 for a filesystem.
    pub(super) command: u64,
    pub(super) port: u16,
    pub(super) bytes: u64,
    pub(super) md5: String,
}

/// What the device does.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Reaction {
    Silence,
    Says(String),
    Runs(Invitation),
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum State {
    Idle,
    WaitAuth { nonce: String, invitation: Invitation },
}

/// `ArduinoOTAClass` without its sockets.
#[derive(Debug)]
pub(super) struct Ota {
    password: Option<String>,
    sha256: Option<Kept>,
    state: State,
    micros: u64,
    pub(super) invitations: u32,
    pub(super) wrong_passwords: u32,
}

impl Ota {
    pub(super) fn new(settings: &Settings) -> Self {
        Self {
            password: settings.password.clone(),
            sha256: settings.flags.sha256,
            state: State::Idle,
            micros: 1_234_567,
            invitations: 0,
            wrong_passwords: 0,
        }
    }

    /// `_onRx`.
    pub(super) fn datagram(&mut self, datagram: &[u8]) -> Reaction {
        let mut rest = datagram;
        let command = number(&mut rest);
        match std::mem::replace(&mut self.state, State::Idle) {
            State::Idle if matches!(command, 0 | 100) => {
                self.invitations += 1;
                self.invited(command, rest)
            }
            State::Idle => Reaction::Silence,
            // Whatever is no answer is swallowed, and the device is idle again.
            State::WaitAuth { .. } if command != 200 => {
                self.invitations += 1;
                Reaction::Silence
            }
            State::WaitAuth { nonce, invitation } => self.answered(&nonce, invitation, rest),
        }
    }

    fn invited(&mut self, command: u64, mut rest: &[u8]) -> Reaction {
        let (port, bytes) = (number(&mut rest), number(&mut rest));
        skip(&mut rest);
        let md5 = until(&mut rest, b'\n').trim().to_owned();
        if md5.len() != 32 {
            return Reaction::Silence;
        }
        let invitation = Invitation { command, port: port as u16, bytes, md5 };
        if self.password.is_none() {
            return Reaction::Runs(invitation);
        }
        self.micros += 1_000_003;
        let nonce = match self.sha256 {
            None => hex(&Md5::digest(self.micros.to_string())),
            Some(_) => hex(&Sha256::digest(self.micros.to_string())),
        };
        let says = format!("AUTH {nonce}");
        self.state = State::WaitAuth { nonce, invitation };
        Reaction::Says(says)
    }

    fn answered(&mut self, nonce: &str, invitation: Invitation, mut rest: &[u8]) -> Reaction {
        skip(&mut rest);
        let cnonce = until(&mut rest, b' ');
        let response = until(&mut rest, b'\n');
        if cnonce.len() != nonce.len() || response.len() != nonce.len() {
            return Reaction::Silence;
        }
        let password = self.password.as_deref().unwrap_or_default();
        if expected(password, nonce, &cnonce, self.sha256) == response {
            return Reaction::Runs(invitation);
        }
        self.wrong_passwords += 1;
        Reaction::Says("Authentication Failed".into())
    }
}

/// The right answer.
fn expected(password: &str, nonce: &str, cnonce: &str, sha256: Option<Kept>) -> String {
    match sha256 {
        None => hex(&Md5::digest([&hex(&Md5::digest(password)), nonce, cnonce].join(":"))),
        Some(kept) => {
            let hash = match kept {
                Kept::Sha256 => hex(&Sha256::digest(password)),
                Kept::Md5 => hex(&Md5::digest(password)),
            };
            let salt = [nonce, cnonce].join(":");
            let key: [u8; 32] =
                pbkdf2::pbkdf2_hmac_array::<Sha256, 32>(hash.as_bytes(), salt.as_bytes(), 10_000);
            hex(&Sha256::digest([&hex(&key), nonce, cnonce].join(":")))
        }
    }
}

/// `parseInt`: blanks, then digits. Too many digits are 0.
fn number(rest: &mut &[u8]) -> u64 {
    while let [b' ', after @ ..] = rest {
        *rest = after;
    }
    let mut value = 0;
    for _ in 0..=MAX_DIGITS {
        match rest {
            [digit @ b'0'..=b'9', after @ ..] => {
                value = value * 10 + u64::from(digit - b'0');
                *rest = after;
            }
            _ => return value,
        }
    }
    0
}

fn skip(rest: &mut &[u8]) {
    if let [_, after @ ..] = rest {
        *rest = after;
    }
}

/// `readStringUntil`: a NUL ends it too.
fn until(rest: &mut &[u8], end: u8) -> String {
    let length = rest.iter().position(|byte| *byte == end || *byte == 0).unwrap_or(rest.len());
    let text = String::from_utf8_lossy(&rest[..length]).into_owned();
    *rest = rest.get(length + 1..).unwrap_or_default();
    text
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().fold(String::new(), |mut text, byte| {
        let _ = write!(text, "{byte:02x}");
        text
    })
}

#[cfg(test)]
mod tests;
