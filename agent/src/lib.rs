//! The agent of Gitmoor: two loops that share nothing but the `SourceControlConfiguration`s of the
//! cluster. One makes them of what ARM says, and reports back; the other gives each namespace that
//! has one an operator, with the rights of that namespace and no others. It knows nothing of Git or
//! manifests.

mod admission;
mod arm;
mod backoff;
mod configurations;
mod digest;
mod enrolment;
mod made;
mod names;
mod objects;
mod operators;
mod origin;
mod pair;
mod settings;

use std::sync::Arc;

use gitmoor_arm::Credential;
use gitmoor_operator::{
    connections::{self, Connections, Identity},
    metrics::Metrics,
};
use kube::{Client, Config, runtime::watcher};
use tokio_util::sync::CancellationToken;

use admission::Admission;
use configurations::Configurations;
use made::Made;
use operators::Context;
pub use settings::{ClusterScope, Runtime, Settings};

/// What installs an agent on a cluster, as YAML: its namespace, its rights, the roles that it hands
/// out, its Deployment. The CustomResourceDefinition comes before it.
pub const INSTALLATION: &str = include_str!("../../examples/install/agent.yaml");

/// How long a watch may last, in seconds. A dead connection is noticed within a minute all the
/// same, because connections are probed.
const WATCH_LIMIT: u32 = 60 * 60;

/// The first minor version of Kubernetes 1 that streams a list by default, for good.
const STREAMING_LISTS: u32 = 34;

/// Why an agent cannot start.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// There is no way to the API server.
    #[error(transparent)]
    Connections(#[from] connections::Error),
    /// The settings for ARM cannot be used.
    #[error(transparent)]
    Arm(#[from] gitmoor_arm::Error),
}

/// Runs the agent until it is cancelled: what `gitmoor agent` does. Its operators end with it when
/// they are hosted in it; nothing that was made is taken away.
///
/// # Errors
/// When it cannot start at all. What goes wrong later is retried and reported.
pub async fn run(
    settings: Settings,
    config: Config,
    metrics: Arc<Metrics>,
    cancel: CancellationToken,
) -> Result<(), Error> {
    let connections = Connections::new(&config, Arc::clone(&metrics))?;
    let client = connections.client(&Identity::Own)?;
    let settings = Arc::new(settings);
    let admission = Admission::new(&settings);
    let arm = settings
        .arm
        .as_ref()
        .map(gitmoor_arm::Client::new)
        .transpose()?;
    let configurations = Configurations::new();
    let (made, made_changes) = Made::new(settings.namespace.clone());
    let context = Context::new(
        Arc::clone(&settings),
        client.clone(),
        connections,
        Arc::clone(&made),
        cancel.clone(),
    );
    let watches = async {
        let config = tokio::select! {
            config = watches(&client) => config,
            () = cancel.cancelled() => return,
        };
        tokio::select! {
            () = configurations.follow(client.clone(), config.clone()) => {}
            () = made.follow(&client, &config) => {}
            () = cancel.cancelled() => {}
        }
    };
    let first_loop = async {
        let (Some(mut arm), Some(of_arm)) = (arm, &settings.arm) else {
            return;
        };
        let follow = async |arm: &gitmoor_arm::Client| {
            let interval = of_arm.poll_interval;
            let client = client.clone();
            arm::follow(
                arm,
                interval,
                &settings,
                client,
                &admission,
                &configurations,
                &cancel,
            )
            .await;
        };
        let Credential::Enrolment(enrolment) = &of_arm.credential else {
            return follow(&arm).await;
        };
        while !cancel.is_cancelled() {
            let as_itself = async {
                let namespace = &settings.namespace;
                let identity = enrolment::identity(of_arm, enrolment, namespace, &client).await;
                arm.enrolled(of_arm, identity);
                follow(&arm).await;
            };
            tokio::select! {
                () = as_itself => {}
                () = enrolment::changed(enrolment) => {}
                () = cancel.cancelled() => {}
            }
        }
    };
    let listed = async {
        let mut changes = configurations.changes();
        tokio::select! {
            _ = changes.wait_for(|changes| *changes > 0) => metrics.listed(),
            () = cancel.cancelled() => {}
        }
    };
    tokio::join!(
        watches,
        listed,
        first_loop,
        operators::serve(context, &admission, &configurations, made_changes),
        operators::write_refusals(client.clone(), &admission, &configurations, cancel.clone()),
    );
    Ok(())
}

/// How to watch this API server. Where it cannot be asked, or is old, lists come in pages.
async fn watches(client: &Client) -> watcher::Config {
    let config = watcher::Config::default().timeout(WATCH_LIMIT);
    let streams = match client.apiserver_version().await {
        Ok(version) => {
            let minor = version
                .minor
                .trim_end_matches(|c: char| !c.is_ascii_digit());
            minor
                .parse::<u32>()
                .is_ok_and(|minor| minor >= STREAMING_LISTS)
        }
        Err(error) => {
            tracing::warn!(
                error = &error as &dyn std::error::Error,
                "ask the API server for its version"
            );
            false
        }
    };
    if streams {
        config.streaming_lists()
    } else {
        config
    }
}
