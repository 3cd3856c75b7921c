//! Brings commits of a repository: a bare repository on the disk, one commit deep, one reference,
//! no worktree. What is on the disk can be lost or damaged at any moment and is then fetched anew.

mod certificate;
mod error;
mod options;
mod remote;
mod tree;

use std::{
    cell::Cell,
    fs,
    path::{Path, PathBuf},
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicUsize, Ordering},
    },
    time::{Duration, Instant},
};

use git2::{
    AutotagOption, Cred, CredentialType, Direction, FetchOptions, Oid, ProxyOptions,
    RemoteCallbacks, RemoteRedirect, Repository,
};
use tokio_util::sync::CancellationToken;

use crate::snapshot::{BlobId, Blobs, CommitId, LoadError, Snapshot};

pub use error::Error;
pub use remote::{Credentials, Remote};

/// How long a fetch may take as a whole, however busy the server is.
const DEADLINE: Duration = Duration::from_mins(5);

/// How much a fetch may bring, in bytes. The largest repositories of manifests are some tens of MiB
/// at one commit.
const RECEIVED: usize = 512 << 20;

/// Each fetch adds a pack, and old commits are never looked at again: after so many the repository
/// is fetched anew and the old one thrown away.
const FETCHES: usize = 64;

/// The one reference of the repository on the disk.
const TIP: &str = "refs/gitmoor/tip";

/// The commits of one repository, on the disk. Cheap to clone.
#[derive(Clone)]
pub struct Store {
    inner: Arc<Inner>,
}

struct Inner {
    path: PathBuf,
    repository: Mutex<Option<Repository>>,
    fetches: AtomicUsize,
}

impl Store {
    /// The commits in a folder; nothing is looked at or made yet.
    pub fn new(path: PathBuf) -> Self {
        Self {
            inner: Arc::new(Inner {
                path,
                repository: Mutex::new(None),
                fetches: AtomicUsize::new(0),
            }),
        }
    }

    /// Asks a remote for its commit, and fetches it when it is not here. Two requests when there
    /// is nothing new: the second only where the server asks for a password first.
    ///
    /// Dropping the future stops the fetch at the next moment that something arrives.
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
        let store = self.clone();
        tokio::task::spawn_blocking(move || store.fetch_now(&remote, &stop))
            .await
            .map_err(|error| Error::Internal(error.to_string()))?
    }

    fn fetch_now(&self, remote: &Remote, stop: &CancellationToken) -> Result<CommitId, Error> {
        options::initialise();
        let mut repository = self.lock();
        let exchange = match self.try_exchange(&mut repository, remote, stop) {
            // Whatever a process that was killed has left behind.
            Err(Error::Disk(what)) => {
                tracing::warn!(what, "the Git store is damaged and fetched anew");
                *repository = None;
                clear(&self.inner.path)?;
                self.try_exchange(&mut repository, remote, stop)?
            }
            other => other?,
        };
        let fetched = matches!(exchange, Exchange::Fetched(_));
        if !fetched || self.inner.fetches.fetch_add(1, Ordering::Relaxed) + 1 < FETCHES {
            return Ok(exchange.commit());
        }
        let fresh = self.inner.path.with_extension("new");
        clear(&fresh)?;
        let renewed = exchange_with(&make(&fresh)?, remote, stop)?;
        *repository = None;
        clear(&self.inner.path)?;
        fs::rename(&fresh, &self.inner.path)
            .map_err(|error| Error::Disk(format!("rename {}: {error}", fresh.display())))?;
        self.inner.fetches.store(0, Ordering::Relaxed);
        Ok(renewed.commit())
    }

    fn try_exchange(
        &self,
        repository: &mut Option<Repository>,
        remote: &Remote,
        stop: &CancellationToken,
    ) -> Result<Exchange, Error> {
        exchange_with(open(repository, &self.inner.path)?, remote, stop)
    }

    /// Every file of a commit that was fetched.
    ///
    /// # Errors
    /// When the commit is not here, or has more files than the limit.
    pub fn snapshot(&self, commit: CommitId) -> Result<Snapshot, Error> {
        let mut repository = self.lock();
        tree::snapshot(open(&mut repository, &self.inner.path)?, commit)
    }

    /// Removes it from the disk.
    pub fn remove(&self) {
        let mut repository = self.lock();
        *repository = None;
        if let Err(error) = clear(&self.inner.path) {
            tracing::warn!(%error, "the Git store was not removed");
        }
    }

    fn lock(&self) -> MutexGuard<'_, Option<Repository>> {
        self.inner
            .repository
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
    }
}

impl Blobs for Store {
    fn load(&self, blob: BlobId, limit: usize) -> Result<Vec<u8>, LoadError> {
        let unreadable = |error: git2::Error| LoadError::Unreadable(error.message().to_owned());
        let mut repository = self.lock();
        let repository = open(&mut repository, &self.inner.path)
            .map_err(|error| LoadError::Unreadable(error.to_string()))?;
        let oid = Oid::from_bytes(&blob.0).map_err(unreadable)?;
        let odb = repository.odb().map_err(unreadable)?;
        // The header first: what is too large is not read.
        let (size, _) = odb.read_header(oid).map_err(unreadable)?;
        if size > limit {
            return Err(LoadError::TooLarge {
                size: size as u64,
                limit,
            });
        }
        let object = odb.read(oid).map_err(unreadable)?;
        Ok(object.data().to_vec())
    }
}

/// One exchange with the remote: which commit, and when it is new, its files.
fn exchange_with(
    repository: &Repository,
    wanted: &Remote,
    stop: &CancellationToken,
) -> Result<Exchange, Error> {
    let until = Instant::now() + DEADLINE;
    let failed = |error: &git2::Error| error::classify(error, wanted, stop, until);
    let mut remote = repository
        .remote_anonymous(wanted.url())
        .map_err(|error| failed(&error))?;
    let mut connection = remote
        .connect_auth(
            Direction::Fetch,
            Some(callbacks(wanted, stop, until)),
            Some(proxy()),
        )
        .map_err(|error| failed(&error))?;
    let name = wanted.reference();
    let commit = connection
        .list()
        .map_err(|error| failed(&error))?
        .iter()
        .find(|head| head.name() == name)
        .map(|head| head.oid());
    let Some(commit) = commit else {
        return Err(Error::BranchNotFound {
            url: wanted.url().to_owned(),
            branch: wanted.branch().map(str::to_owned),
        });
    };
    let tip = repository.refname_to_id(TIP).ok();
    if tip == Some(commit)
        && repository
            .find_commit(commit)
            .and_then(|one| one.tree())
            .is_ok()
    {
        return Ok(Exchange::Known(commit_id(commit)));
    }
    let mut fetch = FetchOptions::new();
    fetch
        .depth(1)
        .download_tags(AutotagOption::None)
        .update_fetchhead(false)
        .follow_redirects(RemoteRedirect::None)
        .proxy_options(proxy())
        .remote_callbacks(callbacks(wanted, stop, until));
    let specification = format!("+{name}:{TIP}");
    connection
        .remote()
        .fetch(&[specification], Some(&mut fetch), None)
        .map_err(|error| failed(&error))?;
    // The branch may have moved on since it was listed.
    let tip = repository
        .refname_to_id(TIP)
        .map_err(|error| Error::Disk(error.message().to_owned()))?;
    Ok(Exchange::Fetched(commit_id(tip)))
}

/// What came of asking.
enum Exchange {
    Known(CommitId),
    Fetched(CommitId),
}

impl Exchange {
    fn commit(&self) -> CommitId {
        match self {
            Self::Known(commit) | Self::Fetched(commit) => *commit,
        }
    }
}

fn commit_id(oid: Oid) -> CommitId {
    let mut id = [0; 20];
    id.copy_from_slice(&oid.as_bytes()[..20]);
    CommitId(id)
}

fn open<'a>(repository: &'a mut Option<Repository>, path: &Path) -> Result<&'a Repository, Error> {
    if repository.is_none() {
        *repository = Some(match Repository::open_bare(path) {
            Ok(opened) => opened,
            Err(_) => {
                clear(path)?;
                make(path)?
            }
        });
    }
    Ok(repository.as_ref().expect("it was opened above"))
}

fn make(path: &Path) -> Result<Repository, Error> {
    let disk =
        |error: git2::Error| Error::Disk(format!("make {}: {}", path.display(), error.message()));
    let repository = Repository::init_bare(path).map_err(disk)?;
    // To another host a redirect is not followed: it would be shown the password. This holds for
    // the connection that lists references, which takes no option.
    let mut config = repository.config().map_err(disk)?;
    config
        .set_bool("http.followRedirects", false)
        .map_err(disk)?;
    Ok(repository)
}

fn clear(path: &Path) -> Result<(), Error> {
    match fs::remove_dir_all(path) {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
            Err(Error::Disk(format!("remove {}: {error}", path.display())))
        }
        _ => Ok(()),
    }
}

/// As the environment says; libgit2 ignores it unless it is asked not to.
fn proxy<'a>() -> ProxyOptions<'a> {
    let mut proxy = ProxyOptions::new();
    proxy.auto();
    proxy
}

fn callbacks<'a>(
    remote: &'a Remote,
    stop: &'a CancellationToken,
    until: Instant,
) -> RemoteCallbacks<'a> {
    let mut callbacks = RemoteCallbacks::new();
    // libgit2 asks again and again after a refusal.
    let asked = Cell::new(false);
    callbacks.credentials(move |_, _, allowed| {
        if asked.replace(true) {
            return Err(git2::Error::from_str(error::REFUSED));
        }
        match remote.credentials().basic() {
            Some((user, password)) if allowed.contains(CredentialType::USER_PASS_PLAINTEXT) => {
                Cred::userpass_plaintext(user, password)
            }
            _ => Err(git2::Error::from_str(error::NOT_GIVEN)),
        }
    });
    callbacks.transfer_progress(move |progress| {
        !stop.is_cancelled() && Instant::now() < until && progress.received_bytes() < RECEIVED
    });
    callbacks.sideband_progress(move |_| !stop.is_cancelled() && Instant::now() < until);
    callbacks.certificate_check(move |found, host| certificate::check(remote, found, host));
    callbacks
}
