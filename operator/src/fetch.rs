//! Brings commits of a repository: a bare repository on the disk, one commit deep, one reference,
//! no worktree. What is on the disk can be lost or damaged at any moment and is then fetched anew.

mod disk;
mod error;
mod exchange;
mod http;
mod options;
mod remote;
mod ssh;
mod tree;

use std::{
    collections::BTreeSet,
    panic::{AssertUnwindSafe, catch_unwind},
    path::PathBuf,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use git2::{
    AutotagOption, Direction, ErrorCode, FetchOptions, Oid, RemoteCallbacks, RemoteConnection,
    RemoteHead, Repository,
};
use prometheus_client::metrics::counter::Counter;
use tokio_util::sync::CancellationToken;

use crate::snapshot::{BlobId, Blobs, CommitId, LoadError, Snapshot};

pub use error::Error;
pub use remote::{Credentials, Remote};
pub use ssh::{Key, KnownHosts, is_ssh};

use exchange::Exchange;

/// The one reference of the repository on the disk.
const TIP: &str = "refs/gitmoor/tip";

/// How many other branches a message names.
const NAMED: usize = 5;

/// What a fetch may take of time and space.
#[derive(Clone, Copy, Debug)]
pub struct Limits {
    /// How long it may take as a whole.
    pub whole: Duration,
    /// How long a server may be silent, and how long its list of references may take.
    pub silence: Duration,
    /// How much a server may send for one commit, in bytes.
    pub bytes: u64,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            whole: Duration::from_mins(5),
            silence: Duration::from_secs(30),
            // The largest repositories of manifests are some tens of MiB at one commit.
            bytes: 256 << 20,
        }
    }
}

/// The commits of one repository, on the disk. Cheap to clone.
#[derive(Clone)]
pub struct Store {
    inner: Arc<Inner>,
}

struct Inner {
    path: PathBuf,
    limits: Limits,
    /// How many bytes servers have sent.
    received: Counter,
    /// Held for a fetch, which may take minutes.
    fetching: Mutex<()>,
    /// For reading, which must not wait for a fetch. Opened when needed, closed when nothing is
    /// new: a thousand configurations at rest hold no files open.
    reader: Mutex<Option<Repository>>,
    /// Whether something was found that cannot be read.
    damaged: AtomicBool,
}

impl Store {
    /// The commits in a folder; nothing is looked at or made yet.
    pub fn new(path: PathBuf) -> Self {
        Self::with_limits(path, Limits::default(), Counter::default())
    }

    /// The same, with limits on what a fetch may take, and a count of the bytes that servers send.
    pub fn with_limits(path: PathBuf, limits: Limits, received: Counter) -> Self {
        options::initialise();
        Self {
            inner: Arc::new(Inner {
                path,
                limits,
                received,
                fetching: Mutex::new(()),
                reader: Mutex::new(None),
                damaged: AtomicBool::new(false),
            }),
        }
    }

    /// Asks a remote for its commit, in one request, and fetches it when it is not here. What was
    /// here before stays until some later fetch.
    ///
    /// Dropping the future stops the fetch at once.
    ///
    /// # Errors
    /// When there is no commit to be had; what was here before stays.
    pub async fn fetch(
        &self,
        remote: Remote,
        cancel: CancellationToken,
    ) -> Result<CommitId, Error> {
        let stop = cancel.child_token();
        let _stop_when_dropped = stop.clone().drop_guard();
        let received = self.inner.received.clone();
        let exchange = Arc::new(Exchange::new(remote, self.inner.limits, received, stop));
        let store = self.clone();
        tokio::task::spawn_blocking(move || store.fetch_now(&exchange))
            .await
            .map_err(|error| Error::Internal(error.to_string()))?
    }

    fn fetch_now(&self, exchange: &Arc<Exchange>) -> Result<CommitId, Error> {
        let _fetching = lock(&self.inner.fetching);
        // One that was dropped while it waited asks nothing.
        exchange.check()?;
        if self.inner.damaged.swap(false, Ordering::Relaxed) {
            self.clear()?;
        }
        let commit = match self.bring(exchange) {
            // Whatever a process that was killed has left behind.
            Err(Error::Disk(what)) => {
                tracing::warn!(what, "the Git store is damaged and fetched anew");
                self.clear()?;
                self.bring(exchange)?
            }
            other => other?,
        };
        Ok(commit_id(commit))
    }

    fn bring(&self, exchange: &Arc<Exchange>) -> Result<Oid, Error> {
        let path = &self.inner.path;
        let repository = disk::open_or_make(path)?;
        let before = repository.refname_to_id(TIP).ok();
        let commit = options::with_exchange(exchange, || bring(&repository, exchange, before))?;
        if before == Some(commit) {
            *lock(&self.inner.reader) = None;
            return Ok(commit);
        }
        // What is being applied at this moment is still read.
        let keep: BTreeSet<Oid> = before.into_iter().chain([commit]).collect();
        drop(repository);
        disk::tidy(path, &keep, self.inner.limits.bytes)?;
        Ok(commit)
    }

    /// Every file of a commit that was fetched.
    ///
    /// # Errors
    /// When the commit is not here, or has more files than the limit.
    pub fn snapshot(&self, commit: CommitId) -> Result<Snapshot, Error> {
        let snapshot = self.read(|repository| tree::snapshot(repository, commit));
        if let Err(Error::Disk(_)) = snapshot {
            self.inner.damaged.store(true, Ordering::Relaxed);
        }
        snapshot
    }

    /// Removes it from the disk, once a fetch that is under way has ended.
    pub async fn remove(&self) {
        let store = self.clone();
        // On a thread of its own: the fetch that is waited for may need this one to end.
        let removal = tokio::task::spawn_blocking(move || {
            let _fetching = lock(&store.inner.fetching);
            store.clear()
        });
        let removed = removal
            .await
            .map_err(|error| Error::Internal(error.to_string()));
        if let Err(error) = removed.flatten() {
            tracing::warn!(%error, "the Git store was not removed");
        }
    }

    fn clear(&self) -> Result<(), Error> {
        *lock(&self.inner.reader) = None;
        disk::clear(&self.inner.path)
    }

    fn read<T>(&self, read: impl FnOnce(&Repository) -> Result<T, Error>) -> Result<T, Error> {
        let mut reader = lock(&self.inner.reader);
        let repository = match reader.take() {
            Some(repository) => repository,
            None => disk::open(&self.inner.path)?,
        };
        read(reader.insert(repository))
    }
}

impl Blobs for Store {
    fn load(&self, blob: BlobId, limit: usize) -> Result<Vec<u8>, LoadError> {
        let loaded = self.read(|repository| {
            let read = || -> Result<_, git2::Error> {
                let id = Oid::from_bytes(&blob.0)?;
                let odb = repository.odb()?;
                // The header first: what is too large is not read.
                let (size, _) = odb.read_header(id)?;
                if size > limit {
                    let size = size as u64;
                    return Ok(Err(LoadError::TooLarge { size, limit }));
                }
                Ok(Ok(odb.read(id)?.data().to_vec()))
            };
            read().map_err(|error| {
                // What is not there may be of a commit long gone.
                if error.code() != ErrorCode::NotFound {
                    self.inner.damaged.store(true, Ordering::Relaxed);
                }
                disk::damaged(&error)
            })
        });
        loaded.unwrap_or_else(|error| Err(LoadError::Unreadable(error.to_string())))
    }
}

/// Asks for the commit, and fetches it unless it is the one `before`.
fn bring(
    repository: &Repository,
    exchange: &Arc<Exchange>,
    before: Option<Oid>,
) -> Result<Oid, Error> {
    let wanted = exchange.remote();
    let failed = |error: git2::Error| {
        exchange
            .failure()
            .unwrap_or_else(|| Error::RepositoryUnreachable {
                url: wanted.url().to_owned(),
                what: error.message().to_owned(),
            })
    };
    let mut remote = repository
        .remote_anonymous(wanted.address().as_str())
        .map_err(failed)?;
    let mut connection = remote
        .connect_auth(Direction::Fetch, None, None)
        .map_err(failed)?;
    let name = wanted.reference();
    let commit = listed(&connection, wanted, &name)?;
    if before == Some(commit)
        && repository
            .find_commit(commit)
            .and_then(|one| one.tree())
            .is_ok()
    {
        return Ok(commit);
    }
    let mut callbacks = RemoteCallbacks::new();
    callbacks.transfer_progress(|_| exchange.check().is_ok());
    callbacks.sideband_progress(|_| exchange.check().is_ok());
    let mut options = FetchOptions::new();
    options
        .depth(1)
        .download_tags(AutotagOption::None)
        .update_fetchhead(false)
        .remote_callbacks(callbacks);
    connection
        .remote()
        .fetch(&[format!("+{name}:{TIP}")], Some(&mut options), None)
        .map_err(|error| {
            // A server that sends nonsense and a disk that is full look alike to libgit2.
            let stopped = || exchange.check().err();
            let failure = exchange.failure().or_else(stopped);
            failure.unwrap_or_else(|| disk::damaged(&error))
        })?;
    // What is said to be there must be: the reference is written whatever the pack held.
    repository
        .find_commit(commit)
        .map_err(|error| disk::damaged(&error))?;
    Ok(commit)
}

fn listed(
    connection: &RemoteConnection<'_, '_, '_>,
    wanted: &Remote,
    name: &str,
) -> Result<Oid, Error> {
    let unreadable = |error: git2::Error| Error::RepositoryUnreachable {
        url: wanted.url().to_owned(),
        what: error.message().to_owned(),
    };
    let heads = connection.list().map_err(unreadable)?;
    if let Some(head) = heads.iter().find(|head| name_of(head) == Some(name)) {
        return Ok(head.oid());
    }
    let branches = heads
        .iter()
        .filter_map(|head| name_of(head)?.strip_prefix("refs/heads/"));
    Err(Error::BranchNotFound {
        url: wanted.url().to_owned(),
        branch: wanted.branch().map(str::to_owned),
        others: branches.take(NAMED).map(str::to_owned).collect(),
    })
}

/// The name of a reference; `None` for one that is no UTF-8, on which git2 panics.
fn name_of<'a>(head: &'a RemoteHead<'_>) -> Option<&'a str> {
    catch_unwind(AssertUnwindSafe(|| head.name())).ok()
}

fn commit_id(oid: Oid) -> CommitId {
    let mut id = [0; 20];
    id.copy_from_slice(oid.as_bytes());
    CommitId(id)
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
