//! A stream that counts what it hands over, and ends if the other side takes nothing or hardly anything.

use std::cell::Cell;
use std::future::Future;
use std::io;
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll};
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::time::{Instant, Sleep};

use super::Limits;

/// A stream to a client.
pub(super) struct Counted<S> {
    inner: S,
    written: Rc<Cell<u64>>,
    stall: Duration,
    slowest: u64,
    grace: Duration,
    /// When the other side had to be waited for first.
    began: Option<Instant>,
    /// Runs while the other side takes nothing.
    timer: Option<Pin<Box<Sleep>>>,
}

impl<S> Counted<S> {
    pub(super) fn new(inner: S, written: Rc<Cell<u64>>, limits: &Limits) -> Self {
        let Limits { stall, slowest, grace, .. } = *limits;
        Self { inner, written, stall, slowest, grace, began: None, timer: None }
    }

    /// Whether the other side took fewer bytes than the slowest reader that is served. A reader that takes one byte now
    /// and then never stalls, and would keep its place among the downloads for ever.
    fn is_too_slow(&mut self, now: Instant) -> bool {
        let lasts = now.duration_since(*self.began.get_or_insert(now));
        lasts > self.grace && self.written.get() < self.slowest.saturating_mul(lasts.as_secs())
    }

    fn watched(
        &mut self,
        context: &mut Context<'_>,
        result: Poll<io::Result<usize>>,
    ) -> Poll<io::Result<usize>> {
        match result {
            Poll::Ready(result) => {
                self.timer = None;
                if let Ok(bytes) = &result {
                    self.written.set(self.written.get() + *bytes as u64);
                }
                Poll::Ready(result)
            }
            Poll::Pending => {
                let now = Instant::now();
                if self.is_too_slow(now) {
                    return Poll::Ready(Err(io::ErrorKind::TimedOut.into()));
                }
                let until = now + self.stall;
                let timer = self.timer.get_or_insert_with(|| Box::pin(tokio::time::sleep_until(until)));
                timer.as_mut().poll(context).map(|()| Err(io::ErrorKind::TimedOut.into()))
            }
        }
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for Counted<S> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        Pin::new(&mut self.inner).poll_read(context, buffer)
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for Counted<S> {
    fn poll_write(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        let result = Pin::new(&mut self.inner).poll_write(context, bytes);
        self.watched(context, result)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        slices: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let result = Pin::new(&mut self.inner).poll_write_vectored(context, slices);
        self.watched(context, result)
    }

    fn is_write_vectored(&self) -> bool {
        self.inner.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.inner).poll_flush(context)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.inner).poll_shutdown(context)
    }
}
