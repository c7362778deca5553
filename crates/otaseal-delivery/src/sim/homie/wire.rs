//! The few packets of MQTT 3.1.1 that a device needs, with payloads in chunks.
//!
//! Source: OASIS MQTT 3.1.1; marvinroger/async-mqtt-client for what the device's own client does with them.

use super::brain::Said;

/// Bytes of the longest topic that the device's client keeps (`AsyncMqttClient.hpp`, `_parsingInformation.maxTopicLength`).
const MAX_TOPIC: usize = 129;
/// Bytes of the largest other packet: an answer to a request to subscribe.
const MAX_OTHER: usize = 512;

/// Seconds of the device's keep-alive.
pub(super) const KEEP_ALIVE: u16 = 15;

/// What came from the broker.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Came<'c> {
    Connected {
        code: u8,
    },
    Subscribed,
    Chunk {
        topic: &'c str,
        chunk: &'c [u8],
        index: usize,
        total: usize,
    },
    /// A message is complete. A device acknowledges it where it has an id.
    Whole {
        packet_id: Option<u16>,
    },
    Acknowledged,
    Pong,
}

/// The bytes are no MQTT.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Broken;

pub(super) fn connect(id: &str, login: Option<(&str, &str)>, will: &Said) -> Vec<u8> {
    let mut flags = 0b0000_0110 | (will.qos << 3) | 0b0010_0000;
    if login.is_some() {
        flags |= 0b1100_0000;
    }
    let mut body = text("MQTT");
    body.extend([4, flags]);
    body.extend(KEEP_ALIVE.to_be_bytes());
    body.extend(text(id));
    body.extend(text(&will.topic));
    body.extend((will.payload.len() as u16).to_be_bytes());
    body.extend(&will.payload);
    if let Some((user, password)) = login {
        body.extend(text(user));
        body.extend(text(password));
    }
    packet(0x10, &body)
}

pub(super) fn subscribe(packet_id: u16, filters: &[(String, u8)]) -> Vec<u8> {
    let mut body = packet_id.to_be_bytes().to_vec();
    for (filter, qos) in filters {
        body.extend(text(filter));
        body.push(*qos);
    }
    packet(0x82, &body)
}

pub(super) fn publish(said: &Said, packet_id: u16) -> Vec<u8> {
    let mut body = text(&said.topic);
    if said.qos > 0 {
        body.extend(packet_id.to_be_bytes());
    }
    body.extend(&said.payload);
    packet(0x30 | said.qos << 1 | u8::from(said.retained), &body)
}

pub(super) fn acknowledge(packet_id: u16) -> Vec<u8> {
    packet(0x40, &packet_id.to_be_bytes())
}

pub(super) fn ping() -> [u8; 2] {
    [0xC0, 0]
}

fn text(text: &str) -> Vec<u8> {
    let mut bytes = (text.len() as u16).to_be_bytes().to_vec();
    bytes.extend(text.as_bytes());
    bytes
}

fn packet(first: u8, body: &[u8]) -> Vec<u8> {
    let mut bytes = vec![first];
    let mut length = body.len();
    loop {
        let digit = (length % 128) as u8;
        length /= 128;
        bytes.push(if length > 0 { digit | 0x80 } else { digit });
        if length == 0 {
            break;
        }
    }
    bytes.extend(body);
    bytes
}

/// Splits the broker's bytes. It keeps at most a topic, never a payload.
#[derive(Debug, Default)]
pub(super) struct Parser {
    state: Parsing,
    head: Vec<u8>,
    /// Bytes of this packet that are still to come.
    left: usize,
    first: u8,
}

#[derive(Debug, Default, PartialEq, Eq)]
enum Parsing {
    #[default]
    First,
    Length {
        shift: u32,
    },
    /// A packet other than a message.
    Other,
    /// Topic and packet id of a message.
    Head,
    Payload {
        topic: Option<String>,
        packet_id: Option<u16>,
        total: usize,
    },
}

impl Parser {
    /// Takes the bytes of one segment, and gives what they mean to `on`, in order.
    pub(super) fn take(&mut self, mut bytes: &[u8], on: &mut dyn FnMut(Came<'_>)) -> Result<(), Broken> {
        loop {
            match &mut self.state {
                Parsing::Payload { topic, packet_id, total } => {
                    let (chunk, rest) = bytes.split_at(bytes.len().min(self.left));
                    if let Some(topic) = topic
                        && !chunk.is_empty()
                    {
                        on(Came::Chunk { topic, chunk, index: *total - self.left, total: *total });
                    }
                    self.left -= chunk.len();
                    bytes = rest;
                    if self.left > 0 {
                        return Ok(());
                    }
                    // A message that the device drops is not acknowledged either.
                    if topic.is_some() {
                        on(Came::Whole { packet_id: *packet_id });
                    }
                    self.state = Parsing::First;
                }
                _ => {
                    let Some((&byte, rest)) = bytes.split_first() else { return Ok(()) };
                    bytes = rest;
                    self.byte(byte, on)?;
                }
            }
        }
    }

    fn byte(&mut self, byte: u8, on: &mut dyn FnMut(Came<'_>)) -> Result<(), Broken> {
        match &mut self.state {
            Parsing::First => {
                self.first = byte;
                self.left = 0;
                self.head.clear();
                self.state = Parsing::Length { shift: 0 };
            }
            Parsing::Length { shift } => {
                self.left |= usize::from(byte & 0x7F) << *shift;
                *shift += 7;
                match (byte & 0x80, *shift) {
                    (0, _) => self.begin(on)?,
                    (_, 28) => return Err(Broken),
                    _ => {}
                }
            }
            Parsing::Other => {
                self.head.push(byte);
                self.left -= 1;
                if self.left == 0 {
                    self.other(on)?;
                }
            }
            Parsing::Head => {
                self.head.push(byte);
                self.left -= 1;
                self.message_head()?;
            }
            Parsing::Payload { .. } => {}
        }
        Ok(())
    }

    fn begin(&mut self, on: &mut dyn FnMut(Came<'_>)) -> Result<(), Broken> {
        let is_message = self.first >> 4 == 3;
        self.state = if is_message { Parsing::Head } else { Parsing::Other };
        match (is_message, self.left) {
            (true, 0..2) | (false, MAX_OTHER..) => Err(Broken),
            (false, 0) => self.other(on),
            _ => Ok(()),
        }
    }

    fn other(&mut self, on: &mut dyn FnMut(Came<'_>)) -> Result<(), Broken> {
        self.state = Parsing::First;
        match (self.first >> 4, self.head.as_slice()) {
            (2, [_, code]) => on(Came::Connected { code: *code }),
            (4, [_, _]) => on(Came::Acknowledged),
            (9, [_, _, ..]) => on(Came::Subscribed),
            (13, []) => on(Came::Pong),
            _ => return Err(Broken),
        }
        Ok(())
    }

    /// Looks whether topic and packet id are complete.
    fn message_head(&mut self) -> Result<(), Broken> {
        let id_bytes = if self.first & 0b0110 == 0 { 0 } else { 2 };
        let [high, low, rest @ ..] = self.head.as_slice() else { return Ok(()) };
        let topic_bytes = usize::from(u16::from_be_bytes([*high, *low]));
        let Some(missing) = (topic_bytes + id_bytes).checked_sub(rest.len()) else { return Err(Broken) };
        if missing > self.left {
            return Err(Broken);
        }
        if missing > 0 {
            return Ok(());
        }
        let (topic, id) = rest.split_at(topic_bytes);
        let kept = std::str::from_utf8(topic).map_err(|_| Broken)?;
        let topic = (kept.len() <= MAX_TOPIC).then(|| kept.to_owned());
        let packet_id = id.try_into().ok().map(u16::from_be_bytes);
        self.state = Parsing::Payload { topic, packet_id, total: self.left };
        Ok(())
    }
}
