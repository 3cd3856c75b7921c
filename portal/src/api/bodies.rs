//! The bodies of requests: read before a request has its place among those at once, so that who
//! sends slowly keeps nobody out, and within bounds of what all of them together may hold.

use std::{mem::take, ops::Deref, sync::Arc, time::Duration};

use axum::body::{Body, Bytes};
use futures::StreamExt as _;
use tokio::{
    sync::{OwnedSemaphorePermit, Semaphore},
    time::timeout,
};
use uuid::Uuid;

use super::{refusal::Refusal, shares::Shares};

/// How long someone without a token may take to send a body.
const OPEN_TIME: Duration = Duration::from_secs(5);

/// What those without a token may have sent at once, all together.
const OPEN_BYTES: usize = 64 * 1024 * 1024;

/// Bodies at once of one principal; more wait.
const EACH: usize = 16;

/// A body that is longer is one of few: of one principal one at a time, and of all so many. They
/// are status reports, of up to 4 MiB, or large configurations.
const SMALL: usize = 64 * 1024;
const LARGE: usize = 16;

pub(crate) struct Bodies {
    open: Arc<Semaphore>,
    each: Shares,
    each_large: Shares,
    large: Arc<Semaphore>,
}

/// A body; while it is there, it counts among those at once.
#[derive(Default)]
pub(crate) struct Sent {
    bytes: Vec<u8>,
    places: Vec<OwnedSemaphorePermit>,
}

impl Deref for Sent {
    type Target = [u8];

    fn deref(&self) -> &[u8] {
        &self.bytes
    }
}

impl Sent {
    fn add(&mut self, part: &Bytes, limit: usize) -> Result<(), Refusal> {
        if self.bytes.len() + part.len() > limit {
            return Err(Refusal::body(limit));
        }
        self.bytes.extend_from_slice(part);
        Ok(())
    }
}

impl Bodies {
    pub(crate) fn new() -> Self {
        Self {
            open: Arc::new(Semaphore::new(OPEN_BYTES)),
            each: Shares::new(EACH),
            each_large: Shares::new(1),
            large: Arc::new(Semaphore::new(LARGE)),
        }
    }

    /// That of someone without a token, of at most `limit` bytes. When there is no room for it, it
    /// is refused: to wait for it would take room as well.
    pub(crate) async fn of_anyone(&self, body: &mut Body, limit: usize) -> Result<Sent, Refusal> {
        let read = async {
            let mut sent = Sent::default();
            let mut parts = take(body).into_data_stream();
            while let Some(part) = parts.next().await {
                let part = part.map_err(|_| Refusal::body(limit))?;
                let length = u32::try_from(part.len()).map_err(|_| Refusal::body(limit))?;
                let room = Arc::clone(&self.open).try_acquire_many_owned(length);
                let room = room.map_err(|_| Refusal::busy())?;
                match sent.places.first_mut() {
                    Some(held) => held.merge(room),
                    None => sent.places.push(room),
                }
                sent.add(&part, limit)?;
            }
            Ok(sent)
        };
        let read = timeout(OPEN_TIME, read).await;
        read.unwrap_or_else(|_| Err(Refusal::timeout()))
    }

    /// That of a principal, of at most `limit` bytes.
    pub(crate) async fn of(
        &self,
        principal: Uuid,
        body: &mut Body,
        limit: usize,
    ) -> Result<Sent, Refusal> {
        let mut sent = Sent {
            bytes: Vec::new(),
            places: vec![self.each.take(principal).await],
        };
        let mut parts = take(body).into_data_stream();
        while let Some(part) = parts.next().await {
            let part = part.map_err(|_| Refusal::body(limit))?;
            if sent.len() <= SMALL && sent.len() + part.len() > SMALL {
                sent.places.push(self.each_large.take(principal).await);
                let large = Arc::clone(&self.large).acquire_owned().await;
                sent.places
                    .push(large.expect("the semaphore is never closed"));
            }
            sent.add(&part, limit)?;
        }
        Ok(sent)
    }
}
