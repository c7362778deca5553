//! A client of an MQTT broker, with limits.
//!
//! [`Session::open`] connects and tells a refusal at once. Then a task keeps the connection, and [`Session::next`] gives
//! what happens. [`Session::publish`] never waits: a full queue, a lost connection and a message that is too large are
//! refusals. So no task waits for a publish while it should read, which is the known way to block such a client for ever
//! (bytebeamio/rumqtt issues 263, 910, 1025).
//!
//! - MQTT 5 where the broker has it, else MQTT 3.1.1. Brokers without MQTT 5 answer return code 1, or close the
//!   connection (OASIS MQTT 3.1.1, 3.1.2.2).
//! - The session is clean. A message that was not sent when the connection broke is dropped, never sent again: only its
//!   owner knows whether it still makes sense.
//! - A message from the broker that is larger than [`Options::max_incoming`] ends the session. The broker would send a
//!   retained one again after each reconnect, for ever.

mod address;
mod session;
mod task;
mod tls;
mod wire;

use std::fmt;
use std::time::Duration;

use bytes::Bytes;

pub use address::{Address, BadAddress, Secret};
pub use session::Session;
pub use tls::{BadTrust, Trust};

/// Bytes of a message that the broker may send. Homie's own are below 2 kB.
pub const MAX_INCOMING: u32 = 64 << 10;
/// Bytes of a message that we send. The largest flash chip of an ESP8266 has 16 MiB.
pub const MAX_OUTGOING: u64 = 16 << 20;
/// Time for a connection, its TLS and the broker's answer.
pub const CONNECT_TIMEOUT: Duration = Duration::from_secs(15);
/// Time within which the network must take a message. A broker that stops reading is a lost one.
pub const WRITE_TIMEOUT: Duration = Duration::from_secs(120);
/// Seconds after which an idle connection is probed. Brokers close it after 1.5 times this time (OASIS MQTT, 3.1.2.10).
pub const KEEP_ALIVE_SECS: u16 = 20;
/// Pause before the first try to connect again. It doubles each time.
pub const FIRST_BACKOFF: Duration = Duration::from_millis(500);
/// Longest pause between two tries to connect.
pub const LONGEST_BACKOFF: Duration = Duration::from_secs(30);

/// A version of MQTT.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Version {
    /// MQTT 3.1.1.
    V3,
    /// MQTT 5.
    V5,
}

impl fmt::Display for Version {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::V3 => "MQTT 3.1.1",
            Self::V5 => "MQTT 5",
        })
    }
}

/// How surely a message arrives.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Quality {
    /// At most once: QoS 0.
    Once,
    /// At least once: QoS 1.
    Acknowledged,
}

/// Whether the broker keeps a message for later subscribers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Keep {
    /// It does not.
    No,
    /// It does: a retained message. An empty one removes it.
    Retained,
}

/// A message to publish.
#[derive(Debug, Clone)]
pub struct Letter {
    /// Its topic, without wildcards.
    pub topic: String,
    /// Its bytes. They are shared, not copied.
    pub payload: Bytes,
    /// Its quality.
    pub quality: Quality,
    /// Whether the broker keeps it.
    pub keep: Keep,
}

/// What a session needs.
#[derive(Debug, Clone)]
pub struct Options {
    /// The broker.
    pub address: Address,
    /// Whom TLS trusts. Without TLS it is not used.
    pub trust: Trust,
    /// The client's id. `None` makes a random one. Two clients with one id throw each other out.
    pub client_id: Option<String>,
    /// Bytes of the largest message that the broker may send.
    pub max_incoming: u32,
    /// Bytes of a message that are kept. The rest is dropped at once, so that many large messages need little memory.
    pub max_kept: usize,
    /// The limit of a connection attempt: [`CONNECT_TIMEOUT`].
    pub connect_timeout: Duration,
    /// Only this version. `None` tries MQTT 5 first.
    pub only: Option<Version>,
}

impl Options {
    /// Returns the usual options for a broker.
    pub fn new(address: Address) -> Self {
        Self {
            address,
            trust: Trust::System,
            client_id: None,
            max_incoming: MAX_INCOMING,
            max_kept: MAX_INCOMING as usize,
            connect_timeout: CONNECT_TIMEOUT,
            only: None,
        }
    }
}

/// What happened in a session.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum Happening {
    /// The connection stands, and nothing is subscribed.
    Up,
    /// The broker accepted all filters of one request to subscribe, or refused so many of them.
    Subscribed {
        /// How many filters it refused.
        refused: usize,
    },
    /// The connection is lost. Messages that wait for sending are dropped. A new try follows.
    Down {
        /// Why.
        why: String,
        /// The pause before the next try.
        after: Duration,
    },
    /// A message came.
    Message {
        /// Its topic: a stranger's text.
        topic: String,
        /// Its bytes, or the first [`Options::max_kept`] of them.
        payload: Bytes,
        /// How many bytes it has.
        bytes: usize,
        /// Whether the broker kept it from earlier. It is no sign of life.
        retained: bool,
    },
    /// The network took a message of [`Quality::Once`], or the broker confirmed one of [`Quality::Acknowledged`].
    Sent {
        /// The ticket from [`Session::publish`].
        ticket: u64,
    },
    /// The broker refused a message.
    Rejected {
        /// The ticket from [`Session::publish`].
        ticket: u64,
        /// Its reason.
        why: String,
    },
    /// The session is over, and no new try follows.
    Over {
        /// Why.
        why: String,
    },
}

/// A session could not be opened.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum CannotConnect {
    /// The broker refused the name or the password.
    #[error("the broker {broker} refuses the login: {why}")]
    Login {
        /// The broker, without password.
        broker: String,
        /// Its words.
        why: String,
    },
    /// The TLS configuration is unusable.
    #[error("cannot set up TLS")]
    Trust(#[from] BadTrust),
    /// The broker's certificate is not trusted, or there is no TLS there.
    #[error("no secure connection to {broker}: {why}")]
    Tls {
        /// The broker.
        broker: String,
        /// Why.
        why: String,
    },
    /// The broker refused for another reason.
    #[error("the broker {broker} refuses the connection: {why}")]
    Refused {
        /// The broker.
        broker: String,
        /// Its words.
        why: String,
    },
    /// The broker cannot be reached.
    #[error("cannot reach the broker {broker}: {why}")]
    Unreachable {
        /// The broker.
        broker: String,
        /// Why.
        why: String,
    },
}

/// A message was not accepted for sending.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum NotSent {
    /// There is no connection now.
    #[error("there is no connection to the broker")]
    Down,
    /// Too many messages wait for sending.
    #[error("too many messages wait for sending")]
    Busy,
    /// The message is too large.
    #[error("the message has {bytes} bytes, and {whose} takes at most {limit}")]
    TooLarge {
        /// Bytes of the whole MQTT packet.
        bytes: u64,
        /// The limit in bytes.
        limit: u64,
        /// Whose limit it is.
        whose: Whose,
    },
    /// The topic is empty, too long, or has wildcards.
    #[error("this is no topic that a message can have")]
    Topic,
}

/// Whose limit a message exceeds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Whose {
    /// Ours: [`MAX_OUTGOING`].
    Ours,
    /// The broker's. It told it when we connected (OASIS MQTT 5, 3.2.2.3.6).
    Broker,
}

impl fmt::Display for Whose {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Ours => "otaseal",
            Self::Broker => "the broker",
        })
    }
}

/// Returns the bytes of a PUBLISH packet without properties (OASIS MQTT 3.1.1 and 5, 3.3).
pub fn packet_bytes(version: Version, quality: Quality, topic_bytes: u64, payload_bytes: u64) -> u64 {
    let packet_id = if quality == Quality::Acknowledged { 2 } else { 0 };
    let properties = if version == Version::V5 { 1 } else { 0 };
    let remaining = 2 + topic_bytes + packet_id + properties + payload_bytes;
    let length_field = match remaining {
        0..=127 => 1,
        128..=16_383 => 2,
        16_384..=2_097_151 => 3,
        _ => 4,
    };
    1 + length_field + remaining
}

#[cfg(test)]
mod tests;
