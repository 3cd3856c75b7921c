//! What bounds one fetch, whatever it goes over: libgit2 waits for nothing but what is waited for
//! here, and every wait ends with the deadline or when the fetch is stopped.

use std::{
    io,
    sync::{
        Mutex, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
};

use prometheus_client::metrics::counter::Counter;
use tokio::{
    runtime::Handle,
    time::{Instant, timeout_at},
};
use tokio_util::sync::CancellationToken;

use super::{Error, Limits, Remote};

/// What one fetch exchanges with a server.
pub(super) struct Exchange {
    remote: Remote,
    limits: Limits,
    until: Instant,
    stop: CancellationToken,
    received: AtomicU64,
    /// The same of every exchange.
    received_ever: Counter,
    /// Why it failed. libgit2 would pass on the words alone.
    failure: Mutex<Option<Error>>,
    runtime: Handle,
}

impl Exchange {
    /// Prepares; must be called in a runtime. The deadline starts now.
    pub(super) fn new(
        remote: Remote,
        limits: Limits,
        received_ever: Counter,
        stop: CancellationToken,
    ) -> Self {
        Self {
            until: Instant::now() + limits.whole,
            received: AtomicU64::new(0),
            received_ever,
            failure: Mutex::new(None),
            runtime: Handle::current(),
            remote,
            limits,
            stop,
        }
    }

    pub(super) fn remote(&self) -> &Remote {
        &self.remote
    }

    /// The deadline of all.
    pub(super) fn until(&self) -> Instant {
        self.until
    }

    /// Until when a server that says nothing more is waited for.
    pub(super) fn silent_until(&self) -> Instant {
        Instant::now() + self.limits.silence
    }

    /// Cancelled when the fetch is stopped.
    pub(super) fn stop(&self) -> &CancellationToken {
        &self.stop
    }

    /// Takes note of why it failed: the first reason is the one.
    pub(super) fn fail(&self, error: Error) {
        let mut failure = self.failure.lock().unwrap_or_else(PoisonError::into_inner);
        failure.get_or_insert(error);
    }

    /// Why it failed, if it was the exchange that did; asked once.
    pub(super) fn failure(&self) -> Option<Error> {
        self.failure
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .take()
    }

    /// Whether it should go on: asked while what came is worked on.
    pub(super) fn check(&self) -> Result<(), Error> {
        if self.stop.is_cancelled() {
            return Err(Error::Stopped);
        }
        if Instant::now() >= self.until {
            return Err(self.timed_out());
        }
        Ok(())
    }

    /// Takes note of bytes that a server has sent.
    pub(super) fn count(&self, bytes: u64) -> Result<(), Error> {
        self.received_ever.inc_by(bytes);
        if self.received.fetch_add(bytes, Ordering::Relaxed) + bytes > self.limits.bytes {
            return Err(Error::TooLarge(format!(
                "{} sends more than {} MiB for one commit: keep manifests in a repository of their own",
                self.remote.url(),
                self.limits.bytes >> 20
            )));
        }
        Ok(())
    }

    pub(super) fn timed_out(&self) -> Error {
        Error::TimedOut {
            url: self.remote.url().to_owned(),
        }
    }

    pub(super) fn unreachable(&self, what: String) -> Error {
        Error::RepositoryUnreachable {
            url: self.remote.url().to_owned(),
            what,
        }
    }

    /// Waits for a part of the exchange, on a thread of libgit2's.
    pub(super) fn wait<T>(
        &self,
        until: Instant,
        part: impl Future<Output = Result<T, Error>>,
    ) -> io::Result<T> {
        let result = self.runtime.block_on(async {
            tokio::select! {
                () = self.stop.cancelled() => Err(Error::Stopped),
                result = timeout_at(until.min(self.until), part) => {
                    result.unwrap_or_else(|_| Err(self.timed_out()))
                }
            }
        });
        result.map_err(|error| {
            self.fail(error);
            io::Error::other("the exchange failed")
        })
    }
}
