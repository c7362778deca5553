//! What to push, and how long to wait for what.

use std::time::Duration;

use bytes::Bytes;
use otaseal::format::digest::Md5Digest;

/// An image to push.
#[derive(Debug, Clone)]
pub struct Image {
    /// The bytes that are sent: raw, plain or signed.
    pub bytes: Bytes,
    /// The MD5 in the topic: see [`super::topic_md5`].
    pub topic_md5: Md5Digest,
    /// Every MD5 that a device may report when it runs this image: of the unsigned image, in each flash mode.
    pub running: Vec<Md5Digest>,
    /// The version that the device reports then, if it is known.
    pub version: Option<String>,
}

/// How long the host waits for what.
#[derive(Debug, Clone, Copy)]
pub struct Waits {
    /// For the device to be ready, at the beginning and after each loss. A device needs a few seconds for a restart.
    pub ready: Duration,
    /// For a sign of life, where the broker only remembers that the device is ready. A device that is there is often
    /// silent for a minute (`$stats/interval`), so after this time the host tries.
    pub life: Duration,
    /// For the next status of a transfer. Devices write flash at 20 kB/s and more.
    pub stall: Duration,
    /// For the whole transfer, whatever the device says meanwhile. 3 MB at 5 kB/s, over the worst Wi-Fi, take ten minutes.
    pub transfer: Duration,
    /// For the device to come back as the new image. It restarts only when its sketch is idle.
    pub restart: Duration,
}

impl Default for Waits {
    fn default() -> Self {
        Self {
            ready: Duration::from_secs(60),
            life: Duration::from_secs(5),
            stall: Duration::from_secs(120),
            transfer: Duration::from_secs(900),
            restart: Duration::from_secs(300),
        }
    }
}
