//! `gitmoor portal enrol`: a cluster is registered, and its agent gets a token that is good once.

use std::{fs, path::PathBuf};

use anyhow::Context as _;
use clap::Args;
use gitmoor_arm::ClusterId;
use gitmoor_portal::Settings;
use serde_json::json;
use url::Url;

use crate::print;

/// Registers a cluster and prints a Secret that makes its agent the agent of this cluster: the
/// agent's settings, the portal's CA, and a token that is good once, within a day.
///
/// The agent that `gitmoor install` installs finds it, exchanges the token for a credential of its
/// own, and from then on its secrets come sealed to a key that never leaves the cluster.
#[derive(Debug, Args)]
pub(crate) struct Enrol {
    /// The cluster's id.
    cluster: ClusterId,
    /// Where its agent reaches the portal; by default the setting `url`.
    #[arg(long, value_name = "URL")]
    url: Option<Url>,
    /// Where the cluster is, if it is not registered yet.
    #[arg(long, default_value = "on-premises")]
    location: String,
    /// The namespace of the agent.
    #[arg(long, default_value = "gitmoor-system")]
    namespace: String,
    /// The CA that signed the portal's certificate, PEM; by default the one that the portal made, if
    /// it did, and else those that the agent's machine trusts.
    #[arg(long, value_name = "FILE")]
    ca: Option<PathBuf>,
}

impl Enrol {
    pub(crate) async fn run(&self, settings: &Settings) -> anyhow::Result<()> {
        let url = self.url.as_ref().or(settings.url.as_ref());
        let url = url.context("give --url, or set `url` in the portal's settings")?;
        anyhow::ensure!(url.scheme() == "https", "{url} must begin with https://");
        let ca = match (&self.ca, settings.generated_ca()) {
            (Some(file), _) => {
                let pem = fs::read_to_string(file);
                Some(pem.with_context(|| format!("read {}", file.display()))?)
            }
            (None, Some(file)) => Some(fs::read_to_string(&file).with_context(|| {
                let file = file.display();
                format!("read {file}, which a portal makes when it first starts; or give --ca")
            })?),
            (None, None) => None,
        };
        let store = super::principal::open(settings).await?;
        let token = store
            .create_enrolment(&self.cluster, &self.location)
            .await?;
        let mut arm = json!({
            "clusterId": self.cluster,
            "dataPlane": url,
            "credential": {"enrolment": {"tokenFile": "/etc/gitmoor/enrolment-token"}},
        });
        if ca.is_some() {
            arm["caFile"] = "/etc/gitmoor/ca.crt".into();
        }
        let mut files = json!({
            "settings.yaml": serde_yaml::to_string(&json!({"arm": arm}))?,
            "enrolment-token": token.expose(),
        });
        if let Some(ca) = ca {
            files["ca.crt"] = ca.into();
        }
        let secret = json!({
            "apiVersion": "v1",
            "kind": "Secret",
            "metadata": {"name": "gitmoor-agent-settings", "namespace": self.namespace},
            "stringData": files,
        });
        print(&serde_yaml::to_string(&secret)?)?;
        Ok(())
    }
}
