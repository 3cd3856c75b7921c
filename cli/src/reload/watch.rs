//! When the content of files changes. The *directories* are watched: Kubernetes changes a mounted
//! ConfigMap or Secret by swapping the symbolic link `..data`, and editors replace the file.

use std::{
    collections::BTreeSet,
    hash::{DefaultHasher, Hash as _, Hasher as _},
    path::{Path, PathBuf},
    sync::Arc,
    time::Duration,
};

use notify::{
    Event, EventKind, RecommendedWatcher, RecursiveMode, Watcher as _,
    event::{AccessKind, AccessMode},
};
use tokio::{
    sync::Notify,
    time::{sleep, timeout},
};

use crate::{failure, settings::read_bounded};

/// For what no event tells: network file systems, links that lead to other directories.
const LOOK_EVERY: Duration = Duration::from_secs(60);

/// A writer makes several events, and files with half of their content.
const SETTLE: Duration = Duration::from_millis(100);

/// The content of some files, as it was last seen.
pub(crate) struct Watch {
    files: BTreeSet<PathBuf>,
    seen: Vec<Option<u64>>,
    /// Watches until it is dropped.
    _watcher: Option<RecommendedWatcher>,
    events: Arc<Notify>,
}

impl Watch {
    /// Looks at these files, and from now on for changes.
    pub(crate) fn new(files: impl Iterator<Item = PathBuf>) -> Self {
        let files: BTreeSet<PathBuf> = files.collect();
        let events = Arc::new(Notify::new());
        let watcher = watcher(&files, Arc::clone(&events)).inspect_err(|error| {
            tracing::warn!(
                error = failure::line(error),
                "settings are looked at once a minute only"
            );
        });
        Self {
            _watcher: watcher.ok(),
            seen: hashes(&files),
            files,
            events,
        }
    }

    /// Waits until the content of a file is another than was last seen, and stays so for a moment:
    /// a file that is being written is empty at first.
    pub(crate) async fn changed(&mut self) {
        loop {
            // Either way it is time to look.
            let _ = timeout(LOOK_EVERY, self.events.notified()).await;
            let mut now = hashes(&self.files);
            loop {
                sleep(SETTLE).await;
                let again = hashes(&self.files);
                if again == now {
                    break;
                }
                now = again;
            }
            if self.seen != now {
                self.seen = now;
                return;
            }
            tracing::debug!("looked at the settings: they say the same");
        }
    }
}

/// A hash of each file, since the content may be secret; none where it cannot be read.
fn hashes(files: &BTreeSet<PathBuf>) -> Vec<Option<u64>> {
    files.iter().map(|file| hash(file)).collect()
}

fn watcher(files: &BTreeSet<PathBuf>, events: Arc<Notify>) -> notify::Result<RecommendedWatcher> {
    let mut watcher = notify::recommended_watcher(move |event: notify::Result<Event>| {
        if event.is_ok_and(|event| writes(event.kind)) {
            events.notify_one();
        }
    })?;
    let directories: BTreeSet<PathBuf> = files.iter().map(|file| directory(file)).collect();
    for directory in directories {
        watcher.watch(&directory, RecursiveMode::NonRecursive)?;
    }
    Ok(watcher)
}

/// Our own reading makes events too, which must not make us read again.
fn writes(kind: EventKind) -> bool {
    match kind {
        EventKind::Access(access) => access == AccessKind::Close(AccessMode::Write),
        _ => true,
    }
}

fn directory(file: &Path) -> PathBuf {
    match file.parent() {
        Some(parent) if parent != Path::new("") => parent.to_owned(),
        _ => PathBuf::from("."),
    }
}

fn hash(file: &Path) -> Option<u64> {
    let content = read_bounded(file).ok()?;
    let mut hasher = DefaultHasher::new();
    content.hash(&mut hasher);
    Some(hasher.finish())
}
