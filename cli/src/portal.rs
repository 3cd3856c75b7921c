//! `gitmoor portal`: the server where an administrator says which repository a namespace follows.

mod audit;
mod backup;
mod enrol;
mod keys;
mod principal;

use std::{net::SocketAddr, path::PathBuf, process::ExitCode};

use clap::{Args, Subcommand};
use gitmoor_portal::Settings;

use crate::{reload, service, settings::Sources};

/// Runs the portal: a server of the `sourceControlConfigurations` API of Azure Resource Manager,
/// for administrators and agents.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  gitmoor portal --data-directory /var/lib/gitmoor-portal --listen 0.0.0.0:8443
  gitmoor portal principal create --name alice --scope /subscriptions/s1 --role contributor
  gitmoor portal principal create --cluster \\
    /subscriptions/s1/resourceGroups/g1/providers/Microsoft.Kubernetes/connectedClusters/c1
  gitmoor portal principal list
  gitmoor portal enrol --url https://portal.example.net:8443 \
    /subscriptions/s1/resourceGroups/g1/providers/Microsoft.Kubernetes/connectedClusters/c1 \
    | kubectl --context c1 apply --server-side -f -
  gitmoor portal token 5f1c0de0-...
  gitmoor portal link 5f1c0de0-...
  gitmoor portal principal secret add 5f1c0de0-... --days 90
  gitmoor portal principal sign-out 5f1c0de0-...
  gitmoor portal keys rotate
  gitmoor portal audit --days 7 --scope /subscriptions/s1/resourceGroups/g1
  gitmoor portal backup /backup/portal-2026-11-24.jsonl
  gitmoor portal --data-directory /var/lib/another restore /backup/portal-2026-11-24.jsonl")]
pub(crate) struct Portal {
    /// The settings, as a YAML file.
    #[arg(long, global = true, value_name = "FILE", env = "GITMOOR_CONFIG")]
    config: Option<PathBuf>,
    /// The folder of what the portal keeps.
    #[arg(long, global = true, value_name = "FOLDER")]
    data_directory: Option<PathBuf>,
    /// Where to listen; by default on 127.0.0.1:8443.
    #[arg(long, value_name = "ADDRESS:PORT")]
    listen: Option<SocketAddr>,
    #[command(subcommand)]
    command: Option<Command>,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Makes, lists and deletes those who may call, on the database itself. A running portal may
    /// stay up.
    #[command(subcommand)]
    Principal(principal::Principal),
    /// Prints a token of one of them, to be sent as `Authorization: Bearer`.
    Token(principal::Token),
    /// Prints a link that signs one of them in to the page, once, within a day.
    Link(principal::Link),
    /// The keys that tokens are signed with.
    #[command(subcommand)]
    Keys(keys::Keys),
    Audit(audit::Audit),
    Enrol(enrol::Enrol),
    Backup(backup::Backup),
    Restore(backup::Restore),
}

pub(crate) fn run(arguments: Portal) -> anyhow::Result<ExitCode> {
    let sources = Sources::new(arguments.config)
        .flag(
            "--data-directory",
            "dataDirectory",
            arguments.data_directory,
        )
        .flag("--listen", "listen", arguments.listen);
    service::run(async |cancel| match &arguments.command {
        Some(command) => {
            let settings = sources.load()?;
            let work = async {
                match command {
                    Command::Principal(principal) => principal.run(settings).await,
                    Command::Token(token) => token.run(settings).await,
                    Command::Enrol(enrol) => enrol.run(&settings).await,
                    Command::Audit(audit) => audit.run(&settings).await,
                    Command::Backup(backup) => backup.run(&settings).await,
                    Command::Restore(restore) => restore.run(&settings).await,
                    Command::Link(link) => link.run(settings).await,
                    Command::Keys(keys) => keys.run(&settings).await,
                }
            };
            tokio::select! {
                done = work => done,
                () = cancel.cancelled() => anyhow::bail!("interrupted"),
            }
        }
        None => {
            reload::run(
                &sources,
                &[],
                &cancel,
                async |settings: Settings, cancel| Ok(gitmoor_portal::run(settings, cancel).await?),
            )
            .await
        }
    })
}
