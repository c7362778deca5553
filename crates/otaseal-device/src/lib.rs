//! The verdict on a signed firmware image.
#![no_std]
