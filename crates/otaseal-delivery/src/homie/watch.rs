//! Looks at one device over a connection of its own, for commands that are short.

use bytes::Bytes;
use tokio::time::{Instant, timeout_at};

use super::facts::Facts;
use super::topic::{Attribute, Base, DeviceId, Topics};
use crate::mqtt::{CannotConnect, Happening, Keep, Letter, NotSent, Options, Quality, Session};

pub(super) struct Watch {
    session: Session,
    base: Base,
    pub(super) topics: Topics,
    filters: Vec<String>,
    pub(super) facts: Facts,
    /// Whether anything came from the device itself.
    pub(super) alive: bool,
    /// So many filters may be refused.
    pub(super) may_refuse: usize,
    /// So many were.
    pub(super) refused: usize,
}

/// What was seen. The facts are up to date already.
pub(super) enum Saw {
    Message {
        topic: String,
        payload: Bytes,
        bytes: usize,
        retained: bool,
    },
    Sent(u64),
    Rejected(u64, String),
    /// The connection was lost, and comes back.
    Gap,
}

/// The connection is over.
pub(super) struct Over(pub(super) String);

impl Watch {
    /// Connects, and requests the topics of a device and these others of it.
    pub(super) async fn open(
        broker: Options,
        base: &Base,
        device: &DeviceId,
        others: &[&str],
    ) -> Result<Self, CannotConnect> {
        let topics = base.device(device);
        let mut filters = topics.filters();
        filters.extend(others.iter().map(|tail| topics.attribute(tail)));
        let session = Session::open(broker).await?;
        let (base, facts) = (base.clone(), Facts::default());
        Ok(Self { session, base, topics, filters, facts, alive: false, may_refuse: 0, refused: 0 })
    }

    /// Waits for the next thing, until a time. `None` means that the time came.
    pub(super) async fn saw(&mut self, until: Instant) -> Result<Option<Saw>, Over> {
        loop {
            let happening = match timeout_at(until, self.session.next()).await {
                Err(_) => return Ok(None),
                Ok(None) => return Err(Over("the connection ended".into())),
                Ok(Some(happening)) => happening,
            };
            match happening {
                Happening::Up => {
                    // The queue is empty now, and a connection that is lost again comes up again.
                    _ = self.session.subscribe(&self.filters);
                }
                Happening::Subscribed { refused } if refused <= self.may_refuse => self.refused = refused,
                Happening::Subscribed { .. } => {
                    return Err(Over("the broker does not let us read the device's topics".into()));
                }
                Happening::Down { .. } => {
                    self.facts.state = None;
                    self.alive = false;
                    return Ok(Some(Saw::Gap));
                }
                Happening::Message { topic, payload, bytes, retained } => {
                    self.message(&topic, &payload, retained);
                    return Ok(Some(Saw::Message { topic, payload, bytes, retained }));
                }
                Happening::Sent { ticket } => return Ok(Some(Saw::Sent(ticket))),
                Happening::Rejected { ticket, why } => return Ok(Some(Saw::Rejected(ticket, why))),
                Happening::Over { why } => return Err(Over(why)),
            }
        }
    }

    fn message(&mut self, topic: &str, payload: &[u8], retained: bool) {
        let Some((id, attribute)) = self.base.split(topic) else { return };
        if id != *self.topics.id() || !self.facts.take(attribute, payload) {
            return;
        }
        let is_state = matches!(attribute, Attribute::State | Attribute::Online);
        if !retained {
            // The broker says in its name that it is lost.
            self.alive = !is_state || self.facts.state.is_some_and(|state| !state.gone());
        }
    }

    /// What a topic of this device is about.
    pub(super) fn attribute<'t>(&self, topic: &'t str) -> Option<Attribute<'t>> {
        self.base.split(topic).filter(|(id, _)| id == self.topics.id()).map(|(_, attribute)| attribute)
    }

    /// Sends a command: with QoS 1, and not retained.
    pub(super) fn command(&self, tail: &str, payload: Bytes) -> Result<u64, NotSent> {
        let topic = self.topics.attribute(tail);
        self.session.publish(Letter { topic, payload, quality: Quality::Acknowledged, keep: Keep::No })
    }

    /// Removes what the broker keeps under a topic.
    pub(super) fn clear(&self, topic: String) -> Result<u64, NotSent> {
        let payload = Bytes::new();
        self.session.publish(Letter { topic, payload, quality: Quality::Acknowledged, keep: Keep::Retained })
    }

    pub(super) async fn close(self) {
        self.session.close().await;
    }
}
