//! The one binary, `gitmoor`: what people type. It reads flags and settings, starts logs and hands
//! over to the library that does the work; it knows how to start the others, not how they work.

mod agent;
mod check;
mod failure;
mod health;
mod install;
mod kubernetes;
mod logs;
mod operator;
mod portal;
mod reload;
mod service;
mod settings;
mod telemetry;
mod terminal;
#[cfg(feature = "opentelemetry")]
mod traces;

use std::{io::Write as _, process::ExitCode};

use anyhow::Context as _;
use clap::{Parser, Subcommand};

/// Moor your clusters to Git.
///
/// An agent sees which repository a namespace follows, an operator makes the cluster what the
/// repository says and keeps it so, a portal is where an administrator says it once.
#[derive(Debug, Parser)]
#[command(name = "gitmoor", version, after_help = EXAMPLES, after_long_help = settings::HELP)]
struct Arguments {
    #[command(flatten)]
    logs: logs::Logs,
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    Agent(agent::Agent),
    Operator(operator::Operator),
    Portal(portal::Portal),
    Check(check::Check),
    Health(health::Health),
    Install(install::Install),
    /// Prints the CustomResourceDefinition of SourceControlConfiguration as YAML.
    #[command(after_help = "Example:\n  gitmoor crds | kubectl apply -f -")]
    Crds,
}

const EXAMPLES: &str = "\
Examples:
  gitmoor check .
  gitmoor install | kubectl apply --server-side -f -
  gitmoor agent --kubeconfig ~/.kube/config --runtime in-process
  gitmoor operator --namespace team-a --scope namespace
  gitmoor portal --data-directory /var/lib/gitmoor-portal --listen 0.0.0.0:8443";

fn main() -> ExitCode {
    match run(Arguments::parse()) {
        Ok(code) => code,
        Err(error) => failure::report(&error),
    }
}

fn run(arguments: Arguments) -> anyhow::Result<ExitCode> {
    // An error says only that there is a provider already, which is as good.
    let _ = rustls::crypto::ring::default_provider().install_default();
    let _logs = logs::start(&arguments.logs)?;
    match arguments.command {
        Command::Agent(arguments) => agent::run(arguments),
        Command::Operator(arguments) => operator::run(arguments),
        Command::Portal(arguments) => portal::run(arguments),
        Command::Check(arguments) => check::run(&arguments),
        Command::Health(arguments) => health::run(&arguments),
        Command::Install(arguments) => print(&install::run(&arguments)?),
        Command::Crds => print(&gitmoor_crds::definition_yaml()),
    }
}

fn print(text: &str) -> anyhow::Result<ExitCode> {
    let written = std::io::stdout().write_all(text.as_bytes());
    written.context("write to the standard output")?;
    Ok(ExitCode::SUCCESS)
}
