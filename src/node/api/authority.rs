//! Wraps an accepted connection so that the requests of etcdctl 3.4 reach the HTTP/2 server.
//!
//! Its maintenance commands dial `passthrough:///http://host:port`, and grpc-go takes all after the slashes for the
//! `:authority`. Go's server does not look at it; h2 resets the stream. See docs/decisions/0003.
//! [`Mender`] decides, this file moves the bytes: [`super::listen`] gives the connection, hyper reads from it. Once the first
//! request shows that nothing needs mending, reads go straight to the connection.

mod frame;
mod hpack;
mod mender;
#[cfg(test)]
mod tests;

use std::{
    io,
    pin::Pin,
    task::{Context, Poll, ready},
};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

use self::mender::Mender;

/// Read from the connection at a time while it is looked at.
const CHUNK_BYTES: usize = 8 * 1024;

/// A connection whose requests have an `:authority` the server can read.
#[derive(Debug)]
pub(super) struct MendedAuthority<S> {
    connection: S,
    /// None once the rest needs no look.
    look: Option<Box<Look>>,
}

/// What is between the connection and its reader.
#[derive(Debug)]
struct Look {
    mender: Mender,
    /// Read and not yet pushed into the mender: `chunk[unread_from..unread_to]`.
    chunk: Vec<u8>,
    unread_from: usize,
    unread_to: usize,
    /// Mended and not yet read: `onward[onward_from..]`.
    onward: Vec<u8>,
    onward_from: usize,
}

impl<S> MendedAuthority<S> {
    pub(super) fn new(connection: S) -> Self {
        let look = Look {
            mender: Mender::new(),
            chunk: vec![0; CHUNK_BYTES],
            unread_from: 0,
            unread_to: 0,
            onward: Vec::new(),
            onward_from: 0,
        };
        Self { connection, look: Some(Box::new(look)) }
    }
}

impl Look {
    /// Fills `onward` from what was read before; true if there is something in it.
    fn mend(&mut self) -> bool {
        if self.onward_from == self.onward.len() {
            self.onward.clear();
            self.onward_from = 0;
        }
        while self.onward.is_empty() && self.unread_from < self.unread_to {
            let unread = &self.chunk[self.unread_from..self.unread_to];
            self.unread_from += self.mender.push(unread, &mut self.onward);
        }
        !self.onward.is_empty()
    }

    fn hand_on(&mut self, buffer: &mut ReadBuf<'_>) {
        let waiting = &self.onward[self.onward_from..];
        let taken = waiting.len().min(buffer.remaining());
        buffer.put_slice(&waiting[..taken]);
        self.onward_from += taken;
    }

    fn poll_chunk<S: AsyncRead + Unpin>(
        &mut self,
        connection: &mut S,
        context: &mut Context<'_>,
    ) -> Poll<io::Result<()>> {
        let mut chunk = ReadBuf::new(&mut self.chunk);
        ready!(Pin::new(connection).poll_read(context, &mut chunk))?;
        (self.unread_from, self.unread_to) = (0, chunk.filled().len());
        if self.unread_to == 0 {
            self.mender.end(&mut self.onward);
        }
        Poll::Ready(Ok(()))
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for MendedAuthority<S> {
    fn poll_read(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        while let Some(look) = &mut this.look {
            if look.mend() {
                look.hand_on(buffer);
                return Poll::Ready(Ok(()));
            }
            if look.mender.is_through() {
                this.look = None;
            } else {
                ready!(look.poll_chunk(&mut this.connection, context))?;
            }
        }
        Pin::new(&mut this.connection).poll_read(context, buffer)
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for MendedAuthority<S> {
    fn poll_write(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &[u8],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.get_mut().connection).poll_write(context, buffer)
    }

    fn poll_flush(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.get_mut().connection).poll_flush(context)
    }

    fn poll_shutdown(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.get_mut().connection).poll_shutdown(context)
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
        slices: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.get_mut().connection).poll_write_vectored(context, slices)
    }

    fn is_write_vectored(&self) -> bool {
        self.connection.is_write_vectored()
    }
}
