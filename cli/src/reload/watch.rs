//! When the content of files changes. The *directories* are watched: Kubernetes changes a mounted
//! ConfigMap or Secret by swapping the symbolic link `..data`, and editors replace the file.

use std::{
    collections::{BTreeMap, BTreeSet},
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

/// A writer makes several events; this lets it finish.
const SETTLE: Duration = Duration::from_millis(100);

/// The content of some files, as it was last seen.
pub(crate) struct Watch {
    /// A hash, since the content may be secret; none where the file cannot be read.
    seen: BTreeMap<PathBuf, Option<u64>>,
    directories: BTreeSet<PathBuf>,
    watcher: Option<RecommendedWatcher>,
    events: Arc<Notify>,
}

impl Watch {
    /// Follows nothing yet.
    pub(crate) fn new() -> Self {
        let events = Arc::new(Notify::new());
        let told = Arc::clone(&events);
        let watcher = notify::recommended_watcher(move |event: notify::Result<Event>| {
            if event.is_ok_and(|event| writes(event.kind)) {
                told.notify_one();
            }
        });
        let watcher = watcher.inspect_err(|error| {
            tracing::warn!(
                error = failure::line(error),
                "files are looked at once a minute only"
            );
        });
        Self {
            seen: BTreeMap::new(),
            directories: BTreeSet::new(),
            watcher: watcher.ok(),
            events,
        }
    }

    /// Follows these files and no others. What was seen of a file that is followed already stays.
    pub(crate) fn follow(&mut self, files: impl Iterator<Item = PathBuf>) {
        let files: BTreeSet<PathBuf> = files.collect();
        let directories = files.iter().map(|file| directory(file)).collect();
        self.watch(directories);
        self.seen.retain(|file, _| files.contains(file));
        for file in files {
            self.seen.entry(file).or_insert_with_key(|file| hash(file));
        }
    }

    fn watch(&mut self, directories: BTreeSet<PathBuf>) {
        let Some(watcher) = &mut self.watcher else {
            return;
        };
        for gone in self.directories.difference(&directories) {
            // It fails when the directory is gone, and then there is nothing to undo.
            let _ = watcher.unwatch(gone);
        }
        for new in directories.difference(&self.directories) {
            if let Err(error) = watcher.watch(new, RecursiveMode::NonRecursive) {
                tracing::warn!(
                    directory = %new.display(),
                    error = failure::line(&error),
                    "files of this directory are looked at once a minute only"
                );
            }
        }
        self.directories = directories;
    }

    /// Waits until the content of a file is another than was last seen.
    pub(crate) async fn changed(&mut self) {
        loop {
            let mut changed = false;
            for (file, seen) in &mut self.seen {
                let now = hash(file);
                changed |= *seen != now;
                *seen = now;
            }
            if changed {
                return;
            }
            if timeout(LOOK_EVERY, self.events.notified()).await.is_ok() {
                sleep(SETTLE).await;
            }
        }
    }
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
