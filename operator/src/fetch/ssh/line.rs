//! A TCP connection that ends when its fetch does, and counts what comes: also while keys are
//! exchanged, and when nobody waits for it any more.

use std::{
    io,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll, ready},
};

use futures::future::{BoxFuture, FutureExt as _, MaybeDone, maybe_done};
use tokio::{
    io::{AsyncRead, AsyncWrite, ReadBuf},
    net::TcpStream,
    time::sleep_until,
};
use tokio_util::sync::WaitForCancellationFutureOwned;

use crate::fetch::exchange::Exchange;

/// See above.
pub(super) struct Line {
    socket: TcpStream,
    exchange: Arc<Exchange>,
    /// The deadline, or the end of the fetch; asked for again after it.
    end: MaybeDone<BoxFuture<'static, ()>>,
}

impl Line {
    pub(super) fn new(
        socket: TcpStream,
        exchange: Arc<Exchange>,
        stopped: WaitForCancellationFutureOwned,
    ) -> Self {
        let until = exchange.until();
        let end = async move {
            tokio::select! {
                () = stopped => {}
                () = sleep_until(until) => {}
            }
        };
        Self {
            socket,
            exchange,
            end: maybe_done(end.boxed()),
        }
    }

    fn poll_end(&mut self, context: &mut Context<'_>) -> io::Result<()> {
        match self.end.poll_unpin(context) {
            Poll::Ready(()) => Err(io::Error::other("the fetch has ended")),
            Poll::Pending => Ok(()),
        }
    }
}

impl AsyncRead for Line {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        self.poll_end(context)?;
        let before = buffer.filled().len();
        ready!(Pin::new(&mut self.socket).poll_read(context, buffer))?;
        let length = (buffer.filled().len() - before) as u64;
        Poll::Ready(self.exchange.count(length).map_err(|error| {
            let what = error.to_string();
            self.exchange.fail(error);
            io::Error::other(what)
        }))
    }
}

impl AsyncWrite for Line {
    fn poll_write(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        self.poll_end(context)?;
        Pin::new(&mut self.socket).poll_write(context, bytes)
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.socket).poll_flush(context)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.socket).poll_shutdown(context)
    }
}
