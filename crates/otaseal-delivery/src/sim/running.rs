//! A simulated device that runs as a task.

use std::future::Future;
use std::net::SocketAddr;

use tokio::sync::oneshot;
use tokio::task::JoinHandle;

/// A device that runs until it is stopped or dropped.
#[derive(Debug)]
pub struct Running<R> {
    address: SocketAddr,
    stop: oneshot::Sender<()>,
    task: Task<R>,
}

/// Ends its task when it is dropped.
#[derive(Debug)]
struct Task<R>(JoinHandle<R>);

impl<R> Drop for Task<R> {
    fn drop(&mut self) {
        self.0.abort();
    }
}

impl<R: Send + 'static> Running<R> {
    /// Starts a device. Its future ends with a report when the receiver gets a word.
    pub(super) fn start<F>(address: SocketAddr, device: impl FnOnce(oneshot::Receiver<()>) -> F) -> Self
    where
        F: Future<Output = R> + Send + 'static,
    {
        let (stop, stopped) = oneshot::channel();
        Self { address, stop, task: Task(tokio::spawn(device(stopped))) }
    }

    /// Where it listens.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Stops it and returns what it did.
    ///
    /// # Panics
    ///
    /// If the device panicked.
    pub async fn stop(self) -> R {
        let Self { stop, mut task, .. } = self;
        let _ = stop.send(());
        match (&mut task.0).await {
            Ok(report) => report,
            Err(error) => panic!("the simulated device did not end well: {error}"),
        }
    }
}
