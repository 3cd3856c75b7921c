//! All that lists show, as one visitor may see it. One board serves all who look: however many pages
//! are open, it is made anew only when something changed, and of that alone where it is little.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
    time::{Duration, Instant},
};

use gitmoor_arm::ClusterId;
use tokio::{
    sync::{
        Mutex,
        broadcast::{Receiver, error::TryRecvError},
    },
    time::sleep,
};

use super::{Pages, session::Visitor};
use crate::{
    Store, StoreError,
    store::{ClusterSummary, News},
};

/// All of a board is read anew after this time in any case: that an agent called is no news, and what
/// another portal told may have been lost.
const OLDEST: Duration = Duration::from_secs(10);

/// A whole board lasts for so many times the time that it took, so that most of the time goes
/// elsewhere.
const SPACING: u32 = 9;

/// Nobody waits longer than this for its turn.
const LONGEST: Duration = Duration::from_secs(1);

/// So many clusters are read each by itself, or one of [`SHARE`]: all at once are read faster than more.
const FEW: usize = 16;
const SHARE: usize = 100;

/// The clusters that there are, by their ids in lower case.
pub(super) struct Board {
    clusters: BTreeMap<String, Arc<ClusterSummary>>,
}

/// The board that was made last.
pub(super) struct Boards(Mutex<Last>);

struct Last {
    news: Receiver<News>,
    board: Option<Arc<Board>>,
    /// What changed since, by ids in lower case.
    changed: BTreeSet<String>,
    /// When all of it was read, and how long that took.
    made_at: Instant,
    took: Duration,
}

impl Boards {
    pub(super) fn new(store: &Store) -> Self {
        Self(Mutex::new(Last {
            news: store.news(),
            board: None,
            changed: BTreeSet::new(),
            made_at: Instant::now(),
            took: Duration::ZERO,
        }))
    }
}

impl Last {
    /// Hears what changed, and forgets a board of which too much did.
    fn hear(&mut self) {
        let mut is_of_use = self.made_at.elapsed() < OLDEST;
        loop {
            match self.news.try_recv() {
                Ok(News::SignedOut) => {}
                Ok(News::Cluster(id)) if !id.is_empty() => {
                    self.changed.insert(id);
                }
                Ok(News::Cluster(_)) | Err(TryRecvError::Lagged(_)) => is_of_use = false,
                Err(TryRecvError::Empty | TryRecvError::Closed) => break,
            }
        }
        let changed = self.changed.len();
        let is_much = |board: &mut Arc<Board>| changed > FEW.max(board.clusters.len() / SHARE);
        self.board.take_if(|board| !is_of_use || is_much(board));
    }
}

impl Pages {
    /// A board in which everything is that was written before.
    pub(super) async fn board(&self) -> Result<Arc<Board>, StoreError> {
        let mut last = self.boards.0.lock().await;
        last.hear();
        let board = match &last.board {
            Some(board) if last.changed.is_empty() => return Ok(board.clone()),
            Some(board) => {
                let mut clusters = board.clusters.clone();
                for key in &last.changed {
                    let Ok(id) = key.parse::<ClusterId>() else {
                        continue;
                    };
                    match self.store.cluster_summary(&id).await? {
                        Some(cluster) => clusters.insert(key.clone(), Arc::new(cluster)),
                        None => clusters.remove(key),
                    };
                }
                Board { clusters }
            }
            None => {
                let pause = (last.took * SPACING).min(LONGEST);
                sleep(pause.saturating_sub(last.made_at.elapsed())).await;
                // What changes while it is read is read once more.
                last.hear();
                let begun = Instant::now();
                let clusters = self.store.summaries().await?.into_iter();
                last.took = begun.elapsed();
                last.made_at = Instant::now();
                Board {
                    clusters: clusters.map(|(key, one)| (key, one.into())).collect(),
                }
            }
        };
        last.changed.clear();
        let board = Arc::new(board);
        last.board = Some(board.clone());
        Ok(board)
    }
}

impl Board {
    /// What a visitor may see of it: what the API's lists would show them.
    pub(super) fn seen_by(&self, visitor: &Visitor) -> impl Iterator<Item = &ClusterSummary> {
        self.clusters
            .values()
            .map(|cluster| &**cluster)
            .filter(|cluster| visitor.principal.reads(&(&cluster.id).into()))
    }
}
