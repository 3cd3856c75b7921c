//! `gitmoor operator`: one operator, for one namespace and scope.

use std::{path::PathBuf, process::ExitCode};

use clap::Args;
use gitmoor_operator::Settings;

use crate::{kubernetes, reload, service, settings::Sources, telemetry};

/// Runs the operator of one namespace: makes it what its repositories say, and keeps it so.
///
/// An agent starts it; by hand it serves the SourceControlConfigurations of a namespace without one.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  gitmoor operator --namespace team-a
  gitmoor operator --kubeconfig ~/.kube/config --context dev --namespace team-a --scope namespace")]
pub(crate) struct Operator {
    #[command(flatten)]
    kubernetes: kubernetes::Kubernetes,
    /// The settings, as a YAML file.
    #[arg(long, value_name = "FILE", env = "GITMOOR_CONFIG")]
    config: Option<PathBuf>,
    /// The namespace whose configurations it serves.
    #[arg(long, value_name = "NAME")]
    namespace: Option<String>,
    /// The scope of the configurations it serves; default namespace.
    #[arg(long, value_parser = ["namespace", "cluster"])]
    scope: Option<String>,
    /// The namespace of its ServiceAccount, inventory and credentials; by default the served one.
    #[arg(long, value_name = "NAME")]
    home: Option<String>,
}

pub(crate) fn run(arguments: Operator) -> anyhow::Result<ExitCode> {
    let kubernetes = arguments.kubernetes;
    let sources = Sources::new(arguments.config)
        .flag("--namespace", "namespace", arguments.namespace)
        .flag("--scope", "scope", arguments.scope)
        .flag("--home", "home", arguments.home)
        .check(|settings: &Settings| match settings.namespace {
            Some(_) => Ok(()),
            None => Err(gitmoor_operator::Error::NoNamespace.into()),
        });
    let sources = kubernetes.directory_for_a_person(sources, "engine.directory");
    service::run(async |cancel| {
        reload::run(
            &sources,
            kubernetes.files(),
            &cancel,
            async |settings, cancel| {
                let address = settings.metrics_address;
                telemetry::show(address, async |metrics| {
                    let config = kubernetes.config().await?;
                    Ok(gitmoor_operator::run(settings, config, metrics, cancel).await?)
                })
                .await
            },
        )
        .await
    })
}
