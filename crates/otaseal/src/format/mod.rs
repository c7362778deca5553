//! Reads and writes bytes: images, their containers, and the tokens and digests in them. It opens the files that otaseal
//! reads. This room knows no key.

pub mod digest;
pub mod elf;
pub mod gzip;
pub mod homie;
pub mod image;
pub mod input;
pub mod key_file;
pub mod layers;
pub mod metadata;
pub mod secret;
