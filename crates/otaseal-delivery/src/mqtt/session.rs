//! The handle of a session.

use std::sync::{Arc, Mutex, PoisonError};

use tokio::sync::mpsc;
use tokio::task::AbortHandle;

use super::task::{self, Shared};
use super::wire::{self, Fault, Loop, Lost, Sender, Turn};
use super::{
    CannotConnect, Happening, Letter, MAX_OUTGOING, NotSent, Options, Quality, Version, Whose, packet_bytes,
};

/// Events that wait for [`Session::next`]. Then the connection is not read, and the broker waits.
const WAITING_EVENTS: usize = 64;

/// Filters of one request to subscribe. 100 long ones have about 12 kB.
const FILTERS_AT_ONCE: usize = 100;

/// A session with a broker. Dropping it closes the connection.
pub struct Session {
    version: Version,
    shared: Arc<Mutex<Shared>>,
    events: mpsc::Receiver<Happening>,
    task: AbortHandle,
}

impl Drop for Session {
    fn drop(&mut self) {
        self.task.abort();
    }
}

impl Session {
    /// Connects, with MQTT 5 first. The first event is [`Happening::Up`].
    ///
    /// It must be called inside a runtime of tokio.
    ///
    /// # Errors
    /// The broker cannot be reached, or it refuses. Later losses are events.
    pub async fn open(options: Options) -> Result<Self, CannotConnect> {
        let tls = match options.address.tls {
            true => Some(options.trust.client()?),
            false => None,
        };
        let id = options.client_id.clone().unwrap_or_else(random_id);
        let versions: &[Version] = match options.only {
            None => &[Version::V5, Version::V3],
            Some(Version::V3) => &[Version::V3],
            Some(Version::V5) => &[Version::V5],
        };
        let mut last = Lost { kind: Fault::Network, why: String::new() };
        for &version in versions {
            let (sender, mut connection) = wire::open(&options, &id, version, tls.clone());
            match connection.turn(options.connect_timeout).await {
                Ok(Turn::Up { max_packet }) => {
                    return Ok(Self::started(options, version, sender, connection, max_packet));
                }
                Ok(_) => last = Lost { kind: Fault::Refused, why: "an answer that nobody asked for".into() },
                Err(lost) => last = lost,
            }
            if last.kind != Fault::Version {
                break;
            }
        }
        Err(refusal(options.address.to_string(), last))
    }

    fn started(
        options: Options,
        version: Version,
        sender: Sender,
        connection: Loop,
        max_packet: Option<u32>,
    ) -> Self {
        let shared = Arc::new(Mutex::new(Shared::new(sender, max_packet)));
        let (tell, events) = mpsc::channel(WAITING_EVENTS);
        let task = tokio::spawn(task::run(connection, Arc::clone(&shared), tell, options));
        Self { version, shared, events, task: task.abort_handle() }
    }

    /// The version of MQTT that the broker speaks.
    pub fn version(&self) -> Version {
        self.version
    }

    /// Bytes of the largest packet that the broker takes, if it said so.
    pub fn max_packet(&self) -> Option<u32> {
        self.lock().max_packet
    }

    /// Requests filters, with QoS 1. The broker forgets them when the connection breaks: request them again after
    /// [`Happening::Up`]. The broker sends what it keeps for them. It may drop a part if that is more than a thousand
    /// messages at once (mosquitto: `max_queued_messages`). A message that is published right afterwards may overtake the
    /// request: wait for [`Happening::Subscribed`].
    ///
    /// # Errors
    /// The request was not queued: see [`NotSent`].
    pub fn subscribe(&self, filters: &[String]) -> Result<(), NotSent> {
        self.request(|shared| filters.chunks(FILTERS_AT_ONCE).all(|some| shared.sender.subscribe(some)))
    }

    /// Gives filters up.
    ///
    /// # Errors
    /// The request was not queued: see [`NotSent`].
    pub fn unsubscribe(&self, filters: &[String]) -> Result<(), NotSent> {
        self.request(|shared| filters.chunks(FILTERS_AT_ONCE).all(|some| shared.sender.unsubscribe(some)))
    }

    fn request(&self, queue: impl FnOnce(&Shared) -> bool) -> Result<(), NotSent> {
        let shared = self.lock();
        match shared.up {
            false => Err(NotSent::Down),
            true if queue(&shared) => Ok(()),
            true => Err(NotSent::Busy),
        }
    }

    /// Queues a message. It does not wait. The ticket comes back in [`Happening::Sent`], unless the connection breaks.
    ///
    /// # Errors
    /// The message was not queued: see [`NotSent`].
    pub fn publish(&self, letter: Letter) -> Result<u64, NotSent> {
        if letter.topic.is_empty() || letter.topic.len() > 65_535 || letter.topic.contains(['+', '#', '\0']) {
            return Err(NotSent::Topic);
        }
        let topic_bytes = letter.topic.len() as u64;
        let bytes = packet_bytes(self.version, letter.quality, topic_bytes, letter.payload.len() as u64);
        if bytes > MAX_OUTGOING {
            return Err(NotSent::TooLarge { bytes, limit: MAX_OUTGOING, whose: Whose::Ours });
        }
        let mut shared = self.lock();
        if let Some(limit) = shared.max_packet.map(u64::from).filter(|limit| bytes > *limit) {
            return Err(NotSent::TooLarge { bytes, limit, whose: Whose::Broker });
        }
        if !shared.up {
            return Err(NotSent::Down);
        }
        let acknowledged = letter.quality == Quality::Acknowledged;
        if !shared.sender.publish(letter) {
            return Err(NotSent::Busy);
        }
        Ok(shared.ticket(acknowledged))
    }

    /// Waits for the next event. After [`Happening::Over`] there is none. It may be cancelled without a loss.
    pub async fn next(&mut self) -> Option<Happening> {
        self.events.recv().await
    }

    /// Says goodbye, so that the broker forgets the session at once.
    pub async fn close(mut self) {
        self.lock().sender.disconnect();
        let goodbye = async { while self.events.recv().await.is_some() {} };
        _ = tokio::time::timeout(std::time::Duration::from_secs(2), goodbye).await;
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, Shared> {
        self.shared.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn refusal(broker: String, lost: Lost) -> CannotConnect {
    let why = lost.why;
    match lost.kind {
        Fault::Login => CannotConnect::Login { broker, why },
        Fault::Tls => CannotConnect::Tls { broker, why },
        Fault::Version | Fault::Refused => CannotConnect::Refused { broker, why },
        Fault::TooLarge | Fault::Network | Fault::Ended => CannotConnect::Unreachable { broker, why },
    }
}

/// 23 characters, which every broker accepts (OASIS MQTT 3.1.1, 3.1.3.1).
fn random_id() -> String {
    let mut bytes = [0; 8];
    // Without random numbers the process id keeps clients of one machine apart.
    if getrandom::fill(&mut bytes).is_err() {
        bytes = u64::from(std::process::id()).to_be_bytes();
    }
    format!("otaseal{:016x}", u64::from_be_bytes(bytes))
}
