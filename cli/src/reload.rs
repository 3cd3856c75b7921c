//! A command whose settings change while it runs: it is ended well and started anew with the new
//! ones. Settings that are wrong are logged, and the last good ones stay.

mod watch;

use std::{path::PathBuf, pin::pin, time::Duration};

use serde::de::DeserializeOwned;
use tokio::time::timeout;
use tokio_util::sync::CancellationToken;

use crate::{failure, settings::Sources};
use watch::Watch;

/// How long the old run may take to end; then it is dropped where it stands.
const END_WITHIN: Duration = Duration::from_secs(20);

/// Runs a command with settings from these sources until it ends by itself or is cancelled, and
/// starts it anew whenever the settings file, or one of the `others`, changes. (The libraries look
/// after the files that settings name: they read those whenever they need them.)
///
/// # Errors
/// When the settings are wrong at the start, and those of the run.
pub(crate) async fn run<T: DeserializeOwned>(
    sources: &Sources<T>,
    others: &[PathBuf],
    cancel: &CancellationToken,
    run: impl AsyncFn(T, CancellationToken) -> anyhow::Result<()>,
) -> anyhow::Result<()> {
    // Before they are read: a change in between is then one too many and not one too few.
    let mut watch = Watch::new(sources.file().into_iter().chain(others.iter().cloned()));
    let mut settings = sources.load()?;
    loop {
        let stop = cancel.child_token();
        let mut running = pin!(run(settings, stop.clone()));
        settings = tokio::select! {
            ended = &mut running => return ended,
            next = next(sources, &mut watch) => next,
        };
        tracing::info!("the settings changed: starting anew with them");
        stop.cancel();
        match timeout(END_WITHIN, running).await {
            Ok(Ok(())) => {}
            Ok(Err(error)) => {
                tracing::warn!(
                    error = failure::line(error.as_ref()),
                    "the last run ended badly"
                );
            }
            Err(_) => tracing::warn!("the last run did not end in time and was dropped"),
        }
        if cancel.is_cancelled() {
            return Ok(());
        }
    }
}

/// Waits for the next settings that are right.
async fn next<T: DeserializeOwned>(sources: &Sources<T>, watch: &mut Watch) -> T {
    loop {
        watch.changed().await;
        match sources.load() {
            Ok(settings) => return settings,
            Err(error) => tracing::error!(
                error = failure::line(&error),
                "the settings changed and are wrong now: the last good ones stay"
            ),
        }
    }
}
