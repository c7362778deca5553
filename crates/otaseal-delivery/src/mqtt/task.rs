//! The task that keeps the connection.

use std::collections::{HashMap, VecDeque};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use bytes::Bytes;
use tokio::sync::mpsc;

use super::wire::{Fault, Loop, Sender, Turn};
use super::{FIRST_BACKOFF, Happening, KEEP_ALIVE_SECS, LONGEST_BACKOFF, Options, WRITE_TIMEOUT};

/// What the handle and the task share. Nobody holds the lock across an await.
pub(super) struct Shared {
    pub(super) sender: Sender,
    pub(super) up: bool,
    pub(super) max_packet: Option<u32>,
    next_ticket: u64,
    /// Tickets in the order of queueing, by quality.
    once: VecDeque<u64>,
    acknowledged: VecDeque<u64>,
    /// Tickets of messages that wait for the broker's confirmation, by packet id.
    unconfirmed: HashMap<u16, u64>,
}

impl Shared {
    pub(super) fn new(sender: Sender, max_packet: Option<u32>) -> Self {
        Self {
            sender,
            up: true,
            max_packet,
            next_ticket: 0,
            once: VecDeque::new(),
            acknowledged: VecDeque::new(),
            unconfirmed: HashMap::new(),
        }
    }

    pub(super) fn ticket(&mut self, acknowledged: bool) -> u64 {
        let ticket = self.next_ticket;
        self.next_ticket += 1;
        match acknowledged {
            true => self.acknowledged.push_back(ticket),
            false => self.once.push_back(ticket),
        }
        ticket
    }

    fn up(&mut self, max_packet: Option<u32>) {
        self.up = true;
        self.max_packet = max_packet;
    }

    fn down(&mut self) {
        self.up = false;
        self.once.clear();
        self.acknowledged.clear();
        self.unconfirmed.clear();
    }

    fn out(&mut self, packet_id: u16) -> Option<Happening> {
        if packet_id == 0 {
            return self.once.pop_front().map(|ticket| Happening::Sent { ticket });
        }
        let ticket = self.acknowledged.pop_front()?;
        self.unconfirmed.insert(packet_id, ticket);
        None
    }

    fn confirmed(&mut self, packet_id: u16, refusal: Option<String>) -> Option<Happening> {
        let ticket = self.unconfirmed.remove(&packet_id)?;
        Some(match refusal {
            None => Happening::Sent { ticket },
            Some(why) => Happening::Rejected { ticket, why },
        })
    }
}

fn locked(shared: &Mutex<Shared>) -> MutexGuard<'_, Shared> {
    shared.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Drives the connection until nobody listens. Waiting for the listener is back-pressure on the broker. The listener never
/// waits for this task, so both cannot wait for each other.
pub(super) async fn run(
    mut connection: Loop,
    shared: Arc<Mutex<Shared>>,
    tell: mpsc::Sender<Happening>,
    options: Options,
) {
    let busy = WRITE_TIMEOUT + Duration::from_secs(u64::from(KEEP_ALIVE_SECS));
    let mut backoff = FIRST_BACKOFF;
    let mut up = true;
    if tell.send(Happening::Up).await.is_err() {
        return;
    }
    loop {
        let limit = if up { busy } else { options.connect_timeout };
        let happening = match connection.turn(limit).await {
            Ok(Turn::Up { max_packet }) => {
                up = true;
                locked(&shared).up(max_packet);
                Some(Happening::Up)
            }
            Ok(Turn::Subscribed { refused }) => Some(Happening::Subscribed { refused }),
            Ok(Turn::Message { topic, payload, retained }) => {
                // A broker must send UTF-8 (OASIS MQTT 3.1.1, 4.7.3). The connection proved to work: the pause starts anew.
                backoff = FIRST_BACKOFF;
                String::from_utf8(topic.to_vec()).ok().map(|topic| {
                    let bytes = payload.len();
                    let payload = kept(payload, options.max_kept);
                    Happening::Message { topic, payload, bytes, retained }
                })
            }
            Ok(Turn::Out { packet_id }) => locked(&shared).out(packet_id),
            Ok(Turn::Acknowledged { packet_id, refusal }) => locked(&shared).confirmed(packet_id, refusal),
            Ok(Turn::Nothing) => None,
            Err(lost) if lost.kind == Fault::Ended => return,
            Err(lost) if lost.kind == Fault::TooLarge => {
                locked(&shared).down();
                let why = format!(
                    "the broker sent a message of more than {} bytes, which no device sends: {}",
                    options.max_incoming, lost.why
                );
                _ = tell.send(Happening::Over { why }).await;
                return;
            }
            Err(lost) => {
                up = false;
                locked(&shared).down();
                let after = backoff;
                backoff = (backoff * 2).min(LONGEST_BACKOFF);
                if tell.send(Happening::Down { why: lost.why, after }).await.is_err() {
                    return;
                }
                tokio::time::sleep(after).await;
                None
            }
        };
        if let Some(happening) = happening
            && tell.send(happening).await.is_err()
        {
            return;
        }
    }
}

/// A slice would keep the whole buffer alive.
fn kept(payload: Bytes, most: usize) -> Bytes {
    match payload.get(..most) {
        Some(first) if payload.len() > most => Bytes::copy_from_slice(first),
        _ => payload,
    }
}
