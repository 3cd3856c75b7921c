//! `make demo`: Gitmoor at work on a real control plane, live in the terminal, until Ctrl-C. With
//! `ONCE=1` each step is checked, and the exit status says whether all went well.

use std::{
    env,
    process::ExitCode,
    time::{Duration, Instant},
};

use anyhow::Context as _;
use gitmoor_examples::{Stage, Terminal, become_program, hand_over, tell};
use tokio::signal::unix::{Signal, SignalKind, signal};

/// How long requests to the Git server may hold up the end.
const END_WITHIN: Duration = Duration::from_secs(2);

fn main() -> ExitCode {
    let mut arguments = env::args_os().skip(1);
    if arguments.next().is_some_and(|first| first == "child") {
        return become_program(arguments);
    }
    let terminal = Terminal::new();
    match demo(&terminal) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            terminal.failure(&format!("{error:#}"));
            ExitCode::FAILURE
        }
    }
}

fn demo(terminal: &Terminal) -> anyhow::Result<()> {
    terminal.heading("A control plane, a portal and an agent");
    // First, as nothing listens to signals yet: Ctrl-C ends a build like any program.
    gitmoor_cluster::program()?;
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build();
    let runtime = runtime.context("start threads")?;
    let ended = runtime.block_on(async {
        let signals = [
            SignalKind::interrupt(),
            SignalKind::terminate(),
            SignalKind::hangup(),
        ];
        let [Ok(interrupt), Ok(terminate), Ok(hangup)] = signals.map(signal) else {
            anyhow::bail!("listen for signals");
        };
        tokio::select! {
            shown = show(terminal) => shown,
            () = any(interrupt, terminate, hangup) => {
                terminal.say("\nEnding: the servers stop, and their folder is removed.");
                match is_once() {
                    true => anyhow::bail!("interrupted"),
                    false => Ok(()),
                }
            }
        }
    });
    runtime.shutdown_timeout(END_WITHIN);
    ended
}

async fn show(terminal: &Terminal) -> anyhow::Result<()> {
    let start = Instant::now();
    let mut stage = Stage::start(terminal).await?;
    if let Err(error) = tell(&mut stage, terminal).await {
        terminal.say(&stage.logs());
        return Err(error);
    }
    if is_once() {
        let seconds = start.elapsed().as_secs_f32();
        terminal.done(&format!(
            "every step is as it should be, after {seconds:.1} s"
        ));
        return Ok(());
    }
    hand_over(&mut stage, terminal).await
}

/// Whether to end after the last step.
fn is_once() -> bool {
    env::var_os("ONCE").is_some_and(|value| !value.is_empty() && value != "0")
}

async fn any(mut one: Signal, mut two: Signal, mut three: Signal) {
    tokio::select! {
        _ = one.recv() => {}
        _ = two.recv() => {}
        _ = three.recv() => {}
    }
}
