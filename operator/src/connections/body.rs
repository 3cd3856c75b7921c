//! The body of an answer, with its limits, and for a watch with its place on the connection.

use std::{
    pin::Pin,
    task::{Context, Poll, ready},
    time::Duration,
};

use bytes::Bytes;
use http_body::{Body, Frame, SizeHint};
use tokio::{
    sync::OwnedSemaphorePermit,
    time::{Instant, Sleep, sleep_until},
};
use tower::BoxError;

/// A limit that an answer passed.
#[derive(Debug, thiserror::Error)]
pub(super) enum Exceeded {
    /// It took too long.
    #[error("the API server did not answer within {} s", .0.as_secs())]
    Time(Duration),
    /// It is too long.
    #[error("the answer is longer than {0} bytes")]
    Size(usize),
}

/// A body with limits.
pub(super) struct Bounded<B> {
    inner: B,
    limits: Limits,
}

enum Limits {
    /// Endless; gives its place on the connection back when it is dropped.
    Watch { _place: OwnedSemaphorePermit },
    Answer {
        deadline: Pin<Box<Sleep>>,
        time: Duration,
        left: usize,
        size: usize,
    },
}

impl<B> Bounded<B> {
    pub(super) fn watch(inner: B, place: OwnedSemaphorePermit) -> Self {
        Self {
            inner,
            limits: Limits::Watch { _place: place },
        }
    }

    pub(super) fn answer(inner: B, deadline: Instant, time: Duration, size: usize) -> Self {
        Self {
            inner,
            limits: Limits::Answer {
                deadline: Box::pin(sleep_until(deadline)),
                time,
                left: size,
                size,
            },
        }
    }
}

impl<B> Body for Bounded<B>
where
    B: Body<Data = Bytes> + Unpin,
    B::Error: Into<BoxError>,
{
    type Data = Bytes;
    type Error = BoxError;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BoxError>>> {
        let this = &mut *self;
        if let Limits::Answer { deadline, time, .. } = &mut this.limits
            && deadline.as_mut().poll(context).is_ready()
        {
            return Poll::Ready(Some(Err(Exceeded::Time(*time).into())));
        }
        let frame = ready!(Pin::new(&mut this.inner).poll_frame(context));
        if let Limits::Answer { left, size, .. } = &mut this.limits
            && let Some(Ok(frame)) = &frame
            && let Some(data) = frame.data_ref()
        {
            match left.checked_sub(data.len()) {
                Some(rest) => *left = rest,
                None => return Poll::Ready(Some(Err(Exceeded::Size(*size).into()))),
            }
        }
        Poll::Ready(frame.map(|frame| frame.map_err(Into::into)))
    }

    fn is_end_stream(&self) -> bool {
        self.inner.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.inner.size_hint()
    }
}
