//! The commands: one file for each.

use crate::error::Failure;
use tokio::runtime::Runtime;

pub(crate) mod client;
pub(crate) mod discover;
pub(crate) mod homie;
pub(crate) mod pages;
pub(crate) mod push;
pub(crate) mod serve;
pub(crate) mod simulate;

/// What waits for the network, on this thread.
pub(crate) fn runtime() -> Result<Runtime, Failure> {
    let built = tokio::runtime::Builder::new_current_thread().enable_all().build();
    built.map_err(|error| Failure::new(format!("no event loop: {error}"), "free some memory"))
}

/// Waits until the user or the system wants an end.
pub(crate) async fn interrupted() {
    #[cfg(unix)]
    {
        use tokio::signal::unix::{SignalKind, signal};
        if let Ok(mut terminate) = signal(SignalKind::terminate()) {
            tokio::select! {
                _ = terminate.recv() => {}
                _ = tokio::signal::ctrl_c() => {}
            }
            return;
        }
    }
    let _ = tokio::signal::ctrl_c().await;
}
