//! Lets Go clients in whose `:authority` is a whole URL. grpc-go sends `http://host:port` there when
//! it was dialled so (etcdctl 3.4 does); Go's server does not mind, the `h2` crate ends the stream with
//! PROTOCOL_ERROR. So the bytes on their way to `h2` are looked through, and the `://` of that one
//! header becomes `x--`: a legal name of the same length, so that frames and the header compression's
//! state on both sides stay as they were. Nothing reads that header afterwards.

mod frames;
mod hpack;

use std::{
    io::{self, IoSlice},
    pin::Pin,
    task::{Context, Poll, ready},
};

use bytes::{Buf, BytesMut};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

use self::frames::Walk;

/// Bytes asked of the socket at a time.
const READ_BYTES: usize = 16 * 1024;

/// A client's connection; what is read from it was looked through.
#[derive(Debug)]
pub(super) struct Authority<T> {
    io: T,
    /// Read, and not yet passed on.
    buffer: BytesMut,
    /// So many bytes of it may be passed on.
    released: usize,
    walk: Walk,
}

impl<T> Authority<T> {
    pub(super) fn new(io: T) -> Self {
        Self { io, buffer: BytesMut::new(), released: 0, walk: Walk::default() }
    }
}

impl<T: AsyncRead + Unpin> AsyncRead for Authority<T> {
    fn poll_read(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        target: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        while this.released == 0 {
            this.buffer.reserve(READ_BYTES);
            let read = tokio_util::io::poll_read_buf(Pin::new(&mut this.io), cx, &mut this.buffer);
            if ready!(read)? == 0 {
                // What was held back cannot be completed any more.
                this.released = this.buffer.len();
                if this.released == 0 {
                    return Poll::Ready(Ok(()));
                }
            } else {
                this.released = this.walk.release(&mut this.buffer);
            }
        }
        let count = this.released.min(target.remaining());
        target.put_slice(&this.buffer[..count]);
        this.buffer.advance(count);
        this.released -= count;
        Poll::Ready(Ok(()))
    }
}

impl<T: AsyncWrite + Unpin> AsyncWrite for Authority<T> {
    fn poll_write(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.get_mut().io).poll_write(cx, bytes)
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        slices: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.get_mut().io).poll_write_vectored(cx, slices)
    }

    fn is_write_vectored(&self) -> bool {
        self.io.is_write_vectored()
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.get_mut().io).poll_flush(cx)
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.get_mut().io).poll_shutdown(cx)
    }
}

#[cfg(test)]
mod tests;
