//! Reports to the data plane what became of ARM's configurations: when it changed, the newest
//! only, and never faster than the other side can take. What did not change is said again after a
//! while, for a portal that lost it.

use std::{collections::HashMap, sync::Arc, time::Duration};

use gitmoor_arm::{Client, Error, StatusReport};
use tokio::{
    sync::watch,
    time::{Instant, sleep, sleep_until},
};

use super::{compliance, settle::Obstacle};
use crate::{
    backoff::Backoff,
    configurations::{Configurations, Key},
};

/// For how long changes are gathered before they are reported.
const GATHER: Duration = Duration::from_secs(1);

/// Between two reports: a thousand configurations that change at once take under a minute.
const PAUSE: Duration = Duration::from_millis(50);

/// How long what was said counts as known to the other side: under an hour, with what chance adds.
const SAY_AGAIN: Duration = Duration::from_mins(54);

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

/// What was said of each configuration, and when it is to be said again.
#[derive(Default)]
struct Sent(HashMap<String, (StatusReport, Instant)>);

impl Sent {
    fn has(&self, name: &str, report: &StatusReport, now: Instant) -> bool {
        let sent = self.0.get(name);
        sent.is_some_and(|(sent, again)| sent == report && now < *again)
    }

    fn add(&mut self, name: &str, report: StatusReport, again: Instant) {
        self.0.insert(name.to_owned(), (report, again));
    }

    /// Waits until something is to be said again.
    async fn again(&self) {
        match self.0.values().map(|(_, again)| *again).min() {
            Some(again) => sleep_until(again).await,
            None => std::future::pending().await,
        }
    }
}

/// Reports until it is dropped.
pub(super) async fn report(
    arm: &Client,
    configurations: &Configurations,
    known: watch::Receiver<Arc<Vec<Known>>>,
) {
    report_again_after(SAY_AGAIN, arm, configurations, known).await;
}

async fn report_again_after(
    say_again: Duration,
    arm: &Client,
    configurations: &Configurations,
    mut known: watch::Receiver<Arc<Vec<Known>>>,
) {
    let mut changes = configurations.changes();
    let mut sent = Sent::default();
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
                () = sent.again() => Ok(()),
            };
            if told.is_err() {
                return;
            }
            sleep(GATHER).await;
        }
        let list = Arc::clone(&known.borrow_and_update());
        changes.borrow_and_update();
        sent.0
            .retain(|name, _| list.iter().any(|one| one.name == *name));
        retry = None;
        for one in list.iter() {
            match send(say_again, arm, configurations, one, &mut sent).await {
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
    say_again: Duration,
    arm: &Client,
    configurations: &Configurations,
    known: &Known,
    sent: &mut Sent,
) -> Result<(), Error> {
    let live = known.key.as_ref().and_then(|key| configurations.one(key));
    let report = compliance::report(
        &known.etag,
        &known.obstacles,
        known.generation,
        live.as_deref(),
    );
    if sent.has(&known.name, &report, Instant::now()) {
        return Ok(());
    }
    sleep(PAUSE).await;
    match arm.report_status(&known.name, &report).await {
        // The next list has another etag, and so another report. The same would be refused again.
        Ok(()) | Err(Error::Stale { .. }) => {
            let again = Instant::now() + gitmoor_arm::jittered(say_again);
            sent.add(&known.name, report, again);
            Ok(())
        }
        Err(error) => Err(error),
    }
}

#[cfg(test)]
#[path = "../../tests/agent/server.rs"]
#[allow(dead_code, reason = "one test needs little of it")]
mod server;

#[cfg(test)]
mod tests {
    use tokio::time::timeout;

    use super::{server::Server, *};

    #[tokio::test]
    async fn a_portal_that_lost_a_report_gets_it_again_although_nothing_changes() {
        let server = Server::start().await;
        let arm = Client::new(&server.settings()).unwrap();
        let configurations = Configurations::new();
        let known = watch::Sender::new(Arc::<Vec<Known>>::default());
        let soon = Duration::from_millis(100);
        let reporting = report_again_after(soon, &arm, &configurations, known.subscribe());
        known.send_replace(Arc::new(vec![Known {
            name: "blue".to_owned(),
            etag: "1".to_owned(),
            key: None,
            generation: None,
            obstacles: Vec::new(),
        }]));
        let told = async {
            while server.said().reports.len() < 3 {
                sleep(Duration::from_millis(10)).await;
            }
        };
        tokio::select! {
            () = reporting => unreachable!("it reports until it is dropped"),
            told = timeout(Duration::from_secs(60), told) => told.unwrap(),
        }
        let said = server.said();
        assert!(said.reports.iter().all(|report| *report == said.reports[0]));
    }

    #[tokio::test]
    async fn what_was_said_is_said_again_after_a_while() {
        let mut sent = Sent::default();
        let report = StatusReport::default();
        let other = StatusReport {
            message: "another".into(),
            ..report.clone()
        };
        let now = Instant::now();
        assert!(!sent.has("blue", &report, now));
        let soon = now + Duration::from_millis(50);
        sent.add("blue", report.clone(), soon);
        sent.add("green", report.clone(), now + SAY_AGAIN);
        assert!(sent.has("blue", &report, now));
        assert!(!sent.has("blue", &other, now));
        sent.again().await;
        assert!(Instant::now() >= soon);
        assert!(!sent.has("blue", &report, Instant::now()));
        assert!(sent.has("green", &report, Instant::now()));
    }
}
