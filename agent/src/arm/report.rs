//! Reports to the data plane what became of ARM's configurations: when it changed, the newest
//! only, and never faster than the other side can take.

use std::{collections::HashMap, sync::Arc, time::Duration};

use gitmoor_arm::{Client, Error, StatusReport};
use tokio::{sync::watch, time::sleep};

use super::{compliance, settle::Obstacle};
use crate::{
    backoff::Backoff,
    configurations::{Configurations, Key},
};

/// For how long changes are gathered before they are reported.
const GATHER: Duration = Duration::from_secs(1);

/// Between two reports: a thousand configurations that change at once take under a minute.
const PAUSE: Duration = Duration::from_millis(50);

/// A configuration of ARM's last list.
pub(super) struct Known {
    pub(super) name: String,
    pub(super) etag: String,
    /// The resource; nothing when it is wrong.
    pub(super) key: Option<Key>,
    /// Of the resource that says what ARM says.
    pub(super) generation: Option<i64>,
    pub(super) obstacles: Vec<Obstacle>,
}

/// When to report again after a failure.
struct Retry {
    /// What the other side asked for: never sooner than that.
    asked: Duration,
    /// Beyond it.
    wait: Duration,
    /// Whether it would not have taken any report.
    nobody_is_heard: bool,
}

/// Reports until it is dropped.
pub(super) async fn report(
    arm: &Client,
    configurations: &Configurations,
    mut known: watch::Receiver<Arc<Vec<Known>>>,
) {
    let mut changes = configurations.changes();
    let mut sent: HashMap<String, StatusReport> = HashMap::new();
    let mut backoff = Backoff::new(Duration::from_secs(2), Duration::from_mins(5));
    let mut retry: Option<Retry> = None;
    loop {
        if let Some(retry) = retry {
            sleep(retry.asked).await;
            tokio::select! {
                () = sleep(retry.wait) => {}
                // The list has come: the other side is back.
                _ = known.changed(), if retry.nobody_is_heard => {}
            }
        } else {
            let told = tokio::select! {
                told = known.changed() => told,
                told = changes.changed() => told,
            };
            if told.is_err() {
                return;
            }
            sleep(GATHER).await;
        }
        let list = Arc::clone(&known.borrow_and_update());
        changes.borrow_and_update();
        sent.retain(|name, _| list.iter().any(|one| one.name == *name));
        retry = None;
        for one in list.iter() {
            match send(arm, configurations, one, &mut sent).await {
                Ok(()) => {}
                Err(error) => {
                    tracing::warn!(
                        configuration = one.name,
                        reason = error.reason(),
                        error = &error as &dyn std::error::Error,
                        "report a status; trying again"
                    );
                    let nobody_is_heard = !is_of_one(&error);
                    retry = Some(Retry {
                        asked: error.retry_after().unwrap_or_default(),
                        wait: backoff.wait(),
                        nobody_is_heard,
                    });
                    if nobody_is_heard {
                        break;
                    }
                }
            }
        }
        if retry.is_none() {
            backoff.reset();
        }
    }
}

/// Whether the next report may fare better than this one.
fn is_of_one(error: &Error) -> bool {
    matches!(error, Error::Refused { status, .. } if !matches!(status, 401 | 403 | 500..))
}

async fn send(
    arm: &Client,
    configurations: &Configurations,
    known: &Known,
    sent: &mut HashMap<String, StatusReport>,
) -> Result<(), Error> {
    let live = known.key.as_ref().and_then(|key| configurations.one(key));
    let report = compliance::report(
        &known.etag,
        &known.obstacles,
        known.generation,
        live.as_deref(),
    );
    if sent.get(&known.name) == Some(&report) {
        return Ok(());
    }
    sleep(PAUSE).await;
    match arm.report_status(&known.name, &report).await {
        // The next list has another etag, and so another report. The same would be refused again.
        Ok(()) | Err(Error::Stale { .. }) => {
            sent.insert(known.name.clone(), report);
            Ok(())
        }
        Err(error) => Err(error),
    }
}
