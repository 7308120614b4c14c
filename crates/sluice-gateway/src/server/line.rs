//! A socket of which some bytes were read ahead, and whose writes may not stall for ever.

use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use bytes::{Buf, Bytes};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::time::{Instant, Sleep};

use super::lobby::Guest;
use super::transit::{Parcel, Transit};

/// See the module.
#[derive(Debug)]
pub(super) struct Line<S> {
    socket: S,
    /// What was read and is still to be handed out.
    ahead: Bytes,
    stall_max: Duration,
    guest: Arc<Guest>,
    /// Runs while the socket takes nothing.
    stalled: Option<Pin<Box<Sleep>>>,
    /// Stands meanwhile for what hyper has copied of answers, so that it counts as in transit.
    copied: Option<Parcel>,
}

impl<S> Line<S> {
    pub(super) fn new(socket: S, ahead: Bytes, stall_max: Duration, guest: Arc<Guest>) -> Self {
        Self { socket, ahead, stall_max, guest, stalled: None, copied: None }
    }

    /// The socket; what was read ahead and not handed out is gone.
    pub(super) fn into_socket(self) -> S {
        self.socket
    }

    /// Lets the clock run while nothing is taken, and stops it when something is.
    fn watch<T>(&mut self, context: &mut Context<'_>, progress: Poll<io::Result<T>>) -> Poll<io::Result<T>> {
        if progress.is_ready() {
            self.stalled = None;
            // That is a move.
            self.copied.take().iter_mut().for_each(|copied| copied.advance(0));
            return progress;
        }
        self.copied.get_or_insert_with(|| Transit::of_this_task().parcel(Bytes::new()));
        let until = || Box::pin(tokio::time::sleep_until(Instant::now() + self.stall_max));
        let stalled = self.stalled.get_or_insert_with(until);
        ready!(stalled.as_mut().poll(context));
        self.guest.stalls();
        Poll::Ready(Err(io::Error::new(io::ErrorKind::TimedOut, "the peer takes nothing")))
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for Line<S> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        if self.ahead.is_empty() {
            return Pin::new(&mut self.socket).poll_read(context, buffer);
        }
        let taken = self.ahead.len().min(buffer.remaining());
        buffer.put_slice(&self.ahead[..taken]);
        self.ahead.advance(taken);
        Poll::Ready(Ok(()))
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for Line<S> {
    fn poll_write(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        let written = Pin::new(&mut self.socket).poll_write(context, bytes);
        self.watch(context, written)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        slices: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let written = Pin::new(&mut self.socket).poll_write_vectored(context, slices);
        self.watch(context, written)
    }

    fn is_write_vectored(&self) -> bool {
        self.socket.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.socket).poll_flush(context)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.socket).poll_shutdown(context)
    }
}
