//! The commands: one file for each.

pub(crate) mod discover;
pub(crate) mod homie;
pub(crate) mod push;
pub(crate) mod serve;
pub(crate) mod simulate;

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
