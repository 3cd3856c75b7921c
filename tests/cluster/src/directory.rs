//! Where a cluster lives on disk: a directory of its own that is locked while it is in use. A
//! temporary one goes with its cluster; one that a killed test left is removed by the next.

use std::{
    env,
    fs::{self, DirBuilder, File, OpenOptions, TryLockError},
    io::{self, Write as _},
    os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _},
    path::{Path, PathBuf},
    thread,
    time::Duration,
};

const PREFIX: &str = "gitmoor-cluster-";
const LOCK: &str = "lock";

/// How old a temporary directory without a lock must be to count as left behind: one that is
/// being made by a process with another cache gets its lock within milliseconds.
const MAKING: Duration = Duration::from_secs(60);

/// Why there is no directory.
#[derive(Debug, thiserror::Error)]
#[allow(missing_docs, reason = "the messages say what the variants are")]
pub enum DirectoryError {
    #[error("{} is in use by another cluster", .path.display())]
    InUse { path: PathBuf },
    #[error("{attempted} {}", .path.display())]
    Io {
        attempted: &'static str,
        path: PathBuf,
        source: io::Error,
    },
}

fn io_error(attempted: &'static str, path: &Path) -> impl FnOnce(io::Error) -> DirectoryError {
    let path = path.to_owned();
    move |source| DirectoryError::Io {
        attempted,
        path,
        source,
    }
}

/// A directory that is ours for as long as this value lives.
#[derive(Debug)]
pub(crate) struct Directory {
    path: PathBuf,
    removed_in_the_end: bool,
    _lock: File,
}

impl Directory {
    /// A new directory in `$TMPDIR`, which is removed in the end unless `GITMOOR_CLUSTER_KEEP` is
    /// set. First removes those of clusters that are no more; `cache` holds the lock for this.
    pub(crate) fn temporary(cache: &Path) -> Result<Self, DirectoryError> {
        let all = env::temp_dir();
        let all = all.canonicalize().map_err(io_error("find", &all))?;
        // Between the making of a directory and the taking of its lock it looks left behind.
        let path = cache.join("directories.lock");
        let making = File::create(&path).map_err(io_error("create", &path))?;
        making.lock().map_err(io_error("lock", &path))?;
        sweep(&all);
        let made = tempfile::Builder::new()
            .prefix(PREFIX)
            .tempdir_in(&all)
            .map_err(io_error("create a directory in", &all))?;
        let lock = lock(made.path())?;
        let removed_in_the_end =
            env::var_os("GITMOOR_CLUSTER_KEEP").is_none_or(|value| value.is_empty());
        Ok(Self {
            path: made.keep(),
            removed_in_the_end,
            _lock: lock,
        })
    }

    /// The directory at `path`, which stays.
    pub(crate) fn kept(path: &Path) -> Result<Self, DirectoryError> {
        DirBuilder::new()
            .recursive(true)
            .mode(0o700)
            .create(path)
            .map_err(io_error("create", path))?;
        let path = path.canonicalize().map_err(io_error("find", path))?;
        let lock = lock(&path)?;
        Ok(Self {
            path,
            removed_in_the_end: false,
            _lock: lock,
        })
    }

    pub(crate) fn path(&self) -> &Path {
        &self.path
    }

    /// What a server should remove when this process is killed.
    pub(crate) fn to_remove(&self) -> Option<&Path> {
        self.removed_in_the_end.then_some(&self.path)
    }
}

impl Drop for Directory {
    fn drop(&mut self) {
        if self.removed_in_the_end {
            remove(&self.path);
        }
    }
}

/// Writes a file that only its owner can read: it holds a key.
pub(crate) fn write_private(path: &Path, text: &str) -> Result<(), DirectoryError> {
    OpenOptions::new()
        .write(true)
        .create(true)
        .truncate(true)
        .mode(0o600)
        .open(path)
        .and_then(|mut file| file.write_all(text.as_bytes()))
        .map_err(io_error("write", path))
}

/// Makes a directory below that of the cluster.
pub(crate) fn make(path: &Path) -> Result<(), DirectoryError> {
    fs::create_dir_all(path).map_err(io_error("create", path))
}

fn lock(directory: &Path) -> Result<File, DirectoryError> {
    let path = directory.join(LOCK);
    let file = File::create(&path).map_err(io_error("create", &path))?;
    match file.try_lock() {
        Ok(()) => Ok(file),
        Err(TryLockError::WouldBlock) => Err(DirectoryError::InUse {
            path: directory.to_owned(),
        }),
        Err(TryLockError::Error(error)) => Err(io_error("lock", &path)(error)),
    }
}

/// Removes what killed processes left. Never fails: what cannot be removed may be another user's.
fn sweep(all: &Path) {
    for entry in fs::read_dir(all).into_iter().flatten().flatten() {
        if !entry.file_name().to_string_lossy().starts_with(PREFIX) {
            continue;
        }
        let left = match File::open(entry.path().join(LOCK)) {
            Ok(lock) => lock.try_lock().is_ok(),
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                let modified = entry.metadata().and_then(|metadata| metadata.modified());
                modified.is_ok_and(|time| time.elapsed().is_ok_and(|age| age > MAKING))
            }
            Err(_) => false,
        };
        if left {
            remove(&entry.path());
        }
    }
}

fn remove(path: &Path) {
    // A server that is just ending may still be writing there.
    for _ in 0..50 {
        match fs::remove_dir_all(path) {
            Err(error) if error.kind() == io::ErrorKind::DirectoryNotEmpty => {
                thread::sleep(Duration::from_millis(10));
            }
            _ => return,
        }
    }
}
