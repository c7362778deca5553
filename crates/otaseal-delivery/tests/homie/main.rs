//! Homie over a real mosquitto: the host and simulated devices.

mod broker;
mod connection;
mod peers;
mod push;
mod rig;
