//! The two versions of the client library behind one face.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use rumqttc_v4 as v4;
use rumqttc_v5 as v5;
use rustls::ClientConfig;
use tokio::net::TcpStream;

use super::{KEEP_ALIVE_SECS, Keep, Letter, MAX_OUTGOING, Options, Quality, Version, WRITE_TIMEOUT};
use crate::text::said;

/// Most requests that wait for sending. Each is a message, or a request to subscribe.
const QUEUE: usize = 256;

/// Hands requests to the connection. No method waits.
pub(super) enum Sender {
    V3(v4::AsyncClient),
    V5(v5::AsyncClient),
}

/// The connection. It moves only while [`Loop::turn`] is polled.
pub(super) enum Loop {
    V3(Box<v4::EventLoop>),
    V5(Box<v5::EventLoop>),
}

/// One step of the connection.
pub(super) enum Turn {
    Up {
        max_packet: Option<u32>,
    },
    Subscribed {
        refused: usize,
    },
    Message {
        topic: Bytes,
        payload: Bytes,
        retained: bool,
    },
    /// A message went out. Packet id 0 is one of [`Quality::Once`].
    Out {
        packet_id: u16,
    },
    Acknowledged {
        packet_id: u16,
        refusal: Option<String>,
    },
    Nothing,
}

/// Why a step failed.
pub(super) struct Lost {
    pub(super) kind: Fault,
    pub(super) why: String,
}

/// The kinds of failures that are treated differently.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Fault {
    /// The broker does not know the version, or closed the connection, which old brokers do for that reason.
    Version,
    Login,
    Tls,
    Refused,
    TooLarge,
    Network,
    /// Nobody can send any more.
    Ended,
}

/// Makes a client of one version. Nothing is connected yet.
pub(super) fn open(
    options: &Options,
    id: &str,
    version: Version,
    tls: Option<Arc<ClientConfig>>,
) -> (Sender, Loop) {
    let host = options.address.host.clone();
    let port = options.address.port;
    let user = options.address.user.clone();
    let password = options.address.password.as_ref().map(|secret| secret.reveal().to_owned());
    match version {
        Version::V3 => {
            let mut settings = v4::MqttOptions::new(id, v4::Broker::tcp(host.clone(), port));
            settings
                .set_keep_alive(KEEP_ALIVE_SECS)
                .set_max_packet_size(options.max_incoming as usize, MAX_OUTGOING as usize)
                .set_request_channel_capacity(QUEUE)
                // One message at a time in the write buffer, and one event for each that went out.
                .set_max_request_batch(1)
                .set_socket_connector(move |_, _| connect(host.clone(), port));
            match (user, password) {
                (Some(user), Some(password)) => _ = settings.set_credentials(user, password),
                (Some(user), None) => _ = settings.set_username(user),
                (None, _) => {}
            }
            if let Some(tls) = tls {
                settings.set_transport(v4::Transport::tls_with_config(v4::TlsConfiguration::Rustls(tls)));
            }
            let (client, mut connection) = v4::AsyncClient::builder(settings).capacity(QUEUE).build();
            // This library limits each flush of its buffer with the time-out of the connection.
            connection.network_options.set_connection_timeout(WRITE_TIMEOUT.as_secs());
            (Sender::V3(client), Loop::V3(Box::new(connection)))
        }
        Version::V5 => {
            let mut settings = v5::MqttOptions::new(id, v5::Broker::tcp(host.clone(), port));
            settings
                .set_keep_alive(KEEP_ALIVE_SECS)
                .set_max_packet_size(Some(options.max_incoming))
                .set_request_channel_capacity(QUEUE)
                .set_max_request_batch(1)
                .set_connect_timeout(options.connect_timeout)
                .set_socket_connector(move |_, _| connect(host.clone(), port));
            match (user, password) {
                (Some(user), Some(password)) => _ = settings.set_credentials(user, password),
                (Some(user), None) => _ = settings.set_username(user),
                (None, _) => {}
            }
            if let Some(tls) = tls {
                settings.set_transport(v5::Transport::tls_with_config(v5::TlsConfiguration::Rustls(tls)));
            }
            let (client, connection) = v5::AsyncClient::builder(settings).capacity(QUEUE).build();
            (Sender::V5(client), Loop::V5(Box::new(connection)))
        }
    }
}

async fn connect(host: String, port: u16) -> std::io::Result<TcpStream> {
    let stream = TcpStream::connect((host.as_str(), port)).await?;
    stream.set_nodelay(true)?;
    Ok(stream)
}

impl Sender {
    /// Queues a message. Returns false if the queue is full.
    pub(super) fn publish(&self, letter: Letter) -> bool {
        let Letter { topic, payload, quality, keep } = letter;
        let retain = keep == Keep::Retained;
        match self {
            Self::V3(client) => {
                let qos = match quality {
                    Quality::Once => v4::QoS::AtMostOnce,
                    Quality::Acknowledged => v4::QoS::AtLeastOnce,
                };
                client.try_publish(topic, payload, v4::PublishOptions::new(qos).retain(retain)).is_ok()
            }
            Self::V5(client) => {
                let qos = match quality {
                    Quality::Once => v5::QoS::AtMostOnce,
                    Quality::Acknowledged => v5::QoS::AtLeastOnce,
                };
                client.try_publish(topic, payload, v5::PublishOptions::new(qos).retain(retain)).is_ok()
            }
        }
    }

    /// Queues a request to subscribe with QoS 1. Returns false if the queue is full.
    pub(super) fn subscribe(&self, filters: &[String]) -> bool {
        match self {
            Self::V3(client) => {
                let each = |filter: &String| v4::SubscribeFilter::new(filter.clone(), v4::QoS::AtLeastOnce);
                client.try_subscribe_many(filters.iter().map(each)).is_ok()
            }
            Self::V5(client) => {
                let each = |filter: &String| v5::SubscribeFilter::new(filter.clone(), v5::QoS::AtLeastOnce);
                client.try_subscribe_many(filters.iter().map(each)).is_ok()
            }
        }
    }

    /// Queues a request to give filters up. Returns false if the queue is full.
    pub(super) fn unsubscribe(&self, filters: &[String]) -> bool {
        match self {
            Self::V3(client) => client.try_unsubscribe_many(filters.iter().cloned()).is_ok(),
            Self::V5(client) => client.try_unsubscribe_many(filters.iter().cloned()).is_ok(),
        }
    }

    /// Queues the end of the session.
    pub(super) fn disconnect(&self) {
        _ = match self {
            Self::V3(client) => client.try_disconnect_now().is_ok(),
            Self::V5(client) => client.try_disconnect_now().is_ok(),
        };
    }
}

impl Loop {
    /// Drives the connection by one step. After an error the next step connects again.
    pub(super) async fn turn(&mut self, limit: Duration) -> Result<Turn, Lost> {
        let late = |_| Lost { kind: Fault::Network, why: format!("no answer within {} s", limit.as_secs()) };
        let turned = match self {
            Self::V3(connection) => {
                match tokio::time::timeout(limit, connection.poll()).await.map_err(late) {
                    Ok(result) => result.map(turn_v3).map_err(lost_v3),
                    Err(late) => Err(late),
                }
            }
            Self::V5(connection) => {
                match tokio::time::timeout(limit, connection.poll()).await.map_err(late) {
                    Ok(result) => result.map(turn_v5).map_err(lost_v5),
                    Err(late) => Err(late),
                }
            }
        };
        if turned.is_err() {
            self.forget();
        }
        turned
    }

    /// Drops the connection and all messages that wait.
    fn forget(&mut self) {
        match self {
            Self::V3(connection) => {
                connection.clean();
                connection.drain_pending_as_failed(v4::NoticeFailureReason::SessionReset);
            }
            Self::V5(connection) => {
                connection.clean();
                connection.drain_pending_as_failed(v5::NoticeFailureReason::SessionReset);
            }
        }
    }
}

fn turn_v3(event: v4::Event) -> Turn {
    match event {
        v4::Event::Incoming(v4::Packet::ConnAck(_)) => Turn::Up { max_packet: None },
        v4::Event::Incoming(v4::Packet::SubAck(answer)) => Turn::Subscribed {
            refused: answer
                .return_codes
                .iter()
                .filter(|code| **code == v4::SubscribeReasonCode::Failure)
                .count(),
        },
        v4::Event::Incoming(v4::Packet::Publish(message)) => {
            Turn::Message { topic: message.topic, payload: message.payload, retained: message.retain }
        }
        v4::Event::Incoming(v4::Packet::PubAck(ack)) => {
            Turn::Acknowledged { packet_id: ack.pkid, refusal: None }
        }
        v4::Event::Outgoing(v4::Outgoing::Publish(packet_id)) => Turn::Out { packet_id },
        _ => Turn::Nothing,
    }
}

fn turn_v5(event: v5::Event) -> Turn {
    match event {
        v5::Event::Incoming(v5::Packet::ConnAck(answer)) => {
            Turn::Up { max_packet: answer.properties.and_then(|properties| properties.max_packet_size) }
        }
        v5::Event::Incoming(v5::Packet::SubAck(answer)) => {
            let accepted =
                |code: &&v5::SubscribeReasonCode| matches!(code, v5::SubscribeReasonCode::Success(_));
            let all = answer.return_codes.len();
            Turn::Subscribed { refused: all - answer.return_codes.iter().filter(accepted).count() }
        }
        v5::Event::Incoming(v5::Packet::Publish(message)) => {
            Turn::Message { topic: message.topic, payload: message.payload, retained: message.retain }
        }
        v5::Event::Incoming(v5::Packet::PubAck(ack)) => {
            let refused = ack.reason as u8 >= 0x80;
            Turn::Acknowledged { packet_id: ack.pkid, refusal: refused.then(|| format!("{:?}", ack.reason)) }
        }
        v5::Event::Outgoing(v5::Outgoing::Publish(packet_id)) => Turn::Out { packet_id },
        _ => Turn::Nothing,
    }
}

fn lost_v3(error: v4::ConnectionError) -> Lost {
    use v4::{ConnectReturnCode as Code, ConnectionError as Error, StateError as State};
    let kind = match &error {
        Error::ConnectionRefused(Code::RefusedProtocolVersion) => Fault::Version,
        Error::ConnectionRefused(Code::BadUserNamePassword | Code::NotAuthorized) => Fault::Login,
        Error::ConnectionRefused(_) => Fault::Refused,
        Error::Tls(_) => Fault::Tls,
        Error::MqttState(State::Deserialization(v4::Error::PayloadSizeLimitExceeded(_))) => Fault::TooLarge,
        Error::MqttState(State::ConnectionAborted) => Fault::Version,
        Error::RequestsDone => Fault::Ended,
        _ => Fault::Network,
    };
    Lost { kind, why: said(error.to_string().as_bytes()) }
}

fn lost_v5(error: v5::ConnectionError) -> Lost {
    use v5::{ConnectReturnCode as Code, ConnectionError as Error, StateError as State};
    let kind = match &error {
        Error::ConnectionRefused(Code::RefusedProtocolVersion | Code::UnsupportedProtocolVersion) => {
            Fault::Version
        }
        Error::ConnectionRefused(Code::BadUserNamePassword | Code::NotAuthorized) => Fault::Login,
        Error::ConnectionRefused(_) => Fault::Refused,
        Error::Tls(_) => Fault::Tls,
        Error::MqttState(State::Deserialization(v5::Error::PayloadSizeLimitExceeded { .. })) => {
            Fault::TooLarge
        }
        Error::MqttState(State::IncomingPacketTooLarge { .. }) => Fault::TooLarge,
        // A broker of MQTT 3.1.1 answers with a shorter packet, which is malformed in MQTT 5, or it closes.
        Error::MqttState(State::ConnectionAborted | State::Deserialization(_) | State::Io(_)) => {
            Fault::Version
        }
        Error::RequestsDone => Fault::Ended,
        _ => Fault::Network,
    };
    Lost { kind, why: said(error.to_string().as_bytes()) }
}
