//! `gitmoor agent`: what turns ARM's configurations into resources, and those into operators.

use std::{path::PathBuf, process::ExitCode};

use clap::Args;
use gitmoor_agent::Settings;

use crate::{kubernetes, reload, service, settings::Sources, telemetry};

/// Runs the agent of a cluster: takes configurations from ARM, and serves them and those that
/// people create with kubectl.
///
/// Without ARM in its settings it serves what people create with kubectl alone.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  gitmoor agent --config /etc/gitmoor/settings.yaml
  gitmoor agent --kubeconfig ~/.kube/config --runtime in-process")]
pub(crate) struct Agent {
    #[command(flatten)]
    kubernetes: kubernetes::Kubernetes,
    /// The settings, as a YAML file; by default /etc/gitmoor/settings.yaml, if there is one.
    #[arg(long, value_name = "FILE", env = "GITMOOR_CONFIG")]
    config: Option<PathBuf>,
    /// How operators run: each as a Deployment of its own (the default), or as tasks of the agent.
    #[arg(long, value_parser = ["deployment", "in-process"])]
    runtime: Option<String>,
}

pub(crate) fn run(arguments: Agent) -> anyhow::Result<ExitCode> {
    let kubernetes = arguments.kubernetes;
    let sources = Sources::new(arguments.config)
        .default_file("/etc/gitmoor/settings.yaml")
        .flag("--runtime", "runtime", arguments.runtime)
        .check(|settings: &Settings| match &settings.arm {
            Some(arm) => Ok(arm.check()?),
            None => Ok(()),
        });
    let sources = kubernetes.directory_for_a_person(sources, "operator.directory");
    service::run(async |cancel| {
        reload::run(
            &sources,
            kubernetes.files(),
            &cancel,
            async |settings, cancel| {
                let address = settings.metrics_address;
                telemetry::show(address, async |metrics| {
                    let config = kubernetes.config().await?;
                    Ok(gitmoor_agent::run(settings, config, metrics, cancel).await?)
                })
                .await
            },
        )
        .await
    })
}
