//! Whether a component is ready, as it says itself.

use std::time::Duration;

use kube::{Client, Config};

use crate::{
    OWN_USER,
    access::{self, MASTERS},
    arguments::etcd_url,
    cluster::Cluster,
    options::Component,
};

/// How long one question may take, before it is asked again.
const ANSWER_WITHIN: Duration = Duration::from_secs(5);

/// The controller that makes the ServiceAccount `default` in every namespace.
const SERVICE_ACCOUNTS: &str = "serviceaccount-controller";

/// Asks one component whether it is ready.
pub(crate) struct Probe {
    client: Client,
    path: &'static str,
    /// What must exist besides.
    object: Option<(Client, &'static str)>,
}

impl Probe {
    pub(crate) fn new(cluster: &Cluster, component: Component) -> Self {
        let own = || probing(cluster.user_config(OWN_USER, &[MASTERS]));
        let (config, path) = match component {
            Component::Etcd => (
                access::anonymous(&etcd_url(cluster.ports()), cluster.authority()),
                "/readyz",
            ),
            Component::ApiServer => (own(), "/readyz"),
            Component::ControllerManager => {
                let url = format!("https://127.0.0.1:{}", cluster.ports()[component as usize]);
                (access::anonymous(&url, cluster.authority()), "/healthz")
            }
        };
        let made_here = component == Component::ControllerManager
            && cluster.options().controllers.runs(SERVICE_ACCOUNTS);
        Self {
            client: access::client(probing(config)),
            path,
            object: made_here.then(|| {
                (
                    access::client(own()),
                    "/api/v1/namespaces/default/serviceaccounts/default",
                )
            }),
        }
    }

    /// Whether it is ready, or why not.
    pub(crate) async fn ask(&self) -> Result<(), String> {
        ask(&self.client, self.path).await?;
        match &self.object {
            Some((client, path)) => ask(client, path).await,
            None => Ok(()),
        }
    }
}

/// Every answer counts, an early refusal too.
fn probing(mut config: Config) -> Config {
    config.default_retry = false;
    config
}

async fn ask(client: &Client, path: &str) -> Result<(), String> {
    let request = http::Request::get(path)
        .body(Vec::new())
        .expect("the paths are valid");
    match tokio::time::timeout(ANSWER_WITHIN, client.request_text(request)).await {
        Ok(Ok(_)) => Ok(()),
        Ok(Err(error)) => Err(format!("{path}: {}", chain(&error))),
        Err(_) => Err(format!(
            "{path}: no answer within {} s",
            ANSWER_WITHIN.as_secs()
        )),
    }
}

/// The message of an error with its causes.
fn chain(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(error) = source {
        text = format!("{text}: {error}");
        source = error.source();
    }
    text
}
