//! Homie over a real mosquitto: the host and simulated devices.
#![cfg(unix)]

mod broker;
mod commands;
mod connection;
mod hostile;
mod peers;
mod push;
mod rig;
