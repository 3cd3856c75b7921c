//! A command that runs until it is told to end.

use std::{process::ExitCode, time::Duration};

use anyhow::Context as _;
use tokio::{
    runtime::Builder,
    signal::unix::{Signal, SignalKind, signal},
};
use tokio_util::sync::CancellationToken;

/// How long threads that are in the middle of something, a fetch by libgit2, may hold up the end.
const END_WITHIN: Duration = Duration::from_secs(2);

/// Runs `work`. The first SIGINT or SIGTERM cancels it, the second ends the process at once.
pub(crate) fn run(
    work: impl AsyncFnOnce(CancellationToken) -> anyhow::Result<()>,
) -> anyhow::Result<ExitCode> {
    let runtime = Builder::new_multi_thread().enable_all().build();
    let runtime = runtime.context("start threads")?;
    let ended = runtime.block_on(async {
        let cancel = CancellationToken::new();
        let interrupt = signal(SignalKind::interrupt()).context("listen for SIGINT")?;
        let terminate = signal(SignalKind::terminate()).context("listen for SIGTERM")?;
        tokio::spawn(obey(interrupt, terminate, cancel.clone()));
        work(cancel).await
    });
    runtime.shutdown_timeout(END_WITHIN);
    ended.map(|()| ExitCode::SUCCESS)
}

async fn obey(mut interrupt: Signal, mut terminate: Signal, cancel: CancellationToken) {
    loop {
        tokio::select! {
            _ = interrupt.recv() => {}
            _ = terminate.recv() => {}
        }
        if cancel.is_cancelled() {
            tracing::warn!("a second signal: ending at once");
            std::process::exit(1);
        }
        tracing::info!("ending; a second signal ends at once");
        cancel.cancel();
    }
}
