//! Devices that behave as the real ones do, for tests and for people without a board.
//!
//! Each simulated device speaks one protocol and owns a [`board::Board`]: its flash, its updater and its boot loader. The
//! board asks [`otaseal::profile::judge`] what the real device would do. So no rule of a device stands here twice. Known
//! bugs of real devices are flags with names.

pub mod board;
pub mod espota;
pub mod form;
pub mod homie;
pub mod http;
pub mod image;
pub mod running;
