//! All that lists show, as one visitor may see it. One board serves all who look: however many pages
//! are open, it is made anew only when something changed.

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

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

/// A board is made anew after this time in any case: that an agent called is no news, and what
/// another portal told may have been lost.
const OLDEST: Duration = Duration::from_secs(10);

/// A board lasts for so many times the time that it took, so that most of the time goes elsewhere.
const SPACING: u32 = 9;

/// Nobody waits longer than this for its turn.
const LONGEST: Duration = Duration::from_secs(1);

/// The clusters that there are.
pub(super) struct Board {
    clusters: Vec<ClusterSummary>,
}

/// The board that was made last.
pub(super) struct Boards(Mutex<Last>);

struct Last {
    news: Receiver<News>,
    board: Option<Arc<Board>>,
    made_at: Instant,
    took: Duration,
}

impl Boards {
    pub(super) fn new(store: &Store) -> Self {
        Self(Mutex::new(Last {
            news: store.news(),
            board: None,
            made_at: Instant::now(),
            took: Duration::ZERO,
        }))
    }
}

impl Last {
    /// The board, if it still says what there is.
    fn current(&mut self) -> Option<Arc<Board>> {
        let mut same = self.made_at.elapsed() < OLDEST;
        loop {
            match self.news.try_recv() {
                Ok(News::SignedOut) => {}
                Ok(News::Cluster(_)) | Err(TryRecvError::Lagged(_)) => same = false,
                Err(TryRecvError::Empty | TryRecvError::Closed) => break,
            }
        }
        if !same {
            self.board = None;
        }
        self.board.clone()
    }
}

impl Pages {
    /// A board in which everything is that was written before.
    pub(super) async fn board(&self) -> Result<Arc<Board>, StoreError> {
        let mut last = self.boards.0.lock().await;
        if let Some(board) = last.current() {
            return Ok(board);
        }
        let pause = (last.took * SPACING).min(LONGEST);
        sleep(pause.saturating_sub(last.made_at.elapsed())).await;
        let begun = Instant::now();
        let clusters = self.store.summaries().await?;
        let board = Arc::new(Board { clusters });
        last.took = begun.elapsed();
        last.made_at = Instant::now();
        last.board = Some(board.clone());
        Ok(board)
    }
}

impl Board {
    /// What a visitor may see of it: what the API's lists would show them.
    pub(super) fn seen_by(&self, visitor: &Visitor) -> impl Iterator<Item = &ClusterSummary> {
        self.clusters
            .iter()
            .filter(|cluster| visitor.principal.reads(&(&cluster.id).into()))
    }
}
