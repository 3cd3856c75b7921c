//! `cluster`: the test control plane by hand.

use std::{ffi::OsString, os::unix::process::CommandExt as _, path::PathBuf, process::Command};

use anyhow::Context as _;
use clap::{Parser, Subcommand};
use gitmoor_cluster::{Cluster, Options, kubernetes_version, program};
use tokio::signal::unix::{SignalKind, signal};

/// A Kubernetes control plane for tests: an API server with RBAC and controllers, no nodes.
#[derive(Parser)]
struct Arguments {
    #[command(subcommand)]
    action: Action,
}

#[derive(Subcommand)]
enum Action {
    /// Build the control plane, if this has not been done yet, and print where it is.
    Build,
    /// Start a cluster, print the path of its kubeconfig, and stop it on Ctrl-C.
    Run {
        /// Keep the data in this directory, and use what an earlier run left there.
        #[arg(long)]
        dir: Option<PathBuf>,
    },
    /// Run kubectl, of the same version as the clusters; it reads KUBECONFIG as always.
    Kubectl {
        /// What kubectl is given.
        #[arg(trailing_var_arg = true, allow_hyphen_values = true)]
        arguments: Vec<OsString>,
    },
}

#[tokio::main]
async fn main() -> anyhow::Result<()> {
    match Arguments::parse().action {
        Action::Build => println!("{}", program()?.display()),
        Action::Run { dir } => {
            // First, as nothing listens to signals yet: Ctrl-C ends a build like any program.
            program()?;
            run(dir).await?;
        }
        Action::Kubectl { arguments } => {
            // Comes back only if it fails.
            let error = Command::new(program()?)
                .arg("kubectl")
                .args(arguments)
                .exec();
            return Err(error).context("run kubectl");
        }
    }
    Ok(())
}

async fn run(directory: Option<PathBuf>) -> anyhow::Result<()> {
    let mut interrupt = signal(SignalKind::interrupt())?;
    let mut terminate = signal(SignalKind::terminate())?;
    let asked = async {
        tokio::select! {
            _ = interrupt.recv() => {}
            _ = terminate.recv() => {}
        }
    };
    let serve = async {
        let cluster = Cluster::start_with(Options {
            directory,
            ..Options::default()
        })
        .await?;
        println!("{}", cluster.kubeconfig().display());
        eprintln!(
            "Kubernetes {} at {}; Ctrl-C stops it",
            kubernetes_version(),
            cluster.url()
        );
        eprintln!("export KUBECONFIG={}", cluster.kubeconfig().display());
        std::future::pending::<anyhow::Result<()>>().await
    };
    tokio::select! {
        () = asked => Ok(()),
        result = serve => result,
    }
}
