//! What proves to a repository who we are: the Secret that the configuration names, and over SSH,
//! where that has no key, the deploy key of the configuration. Both are watched or made in the
//! background.

use std::{sync::Arc, time::Duration};

use futures::StreamExt as _;
use gitmoor_crds::SourceControlConfiguration;
use k8s_openapi::api::core::v1::Secret;
use kube::{
    Api,
    runtime::watcher::{self, watch_object},
};
use tokio::{sync::watch, task::AbortHandle, time::sleep};

use super::deploy_key::DeployKey;
use crate::{
    fetch::{Credentials, Key, KnownHosts, is_ssh},
    pace::jitter,
    tenant::{Chain, Tenant},
};

/// How long to wait after the API server has refused.
const RETRY: Duration = Duration::from_secs(5);

/// What is known of them.
#[derive(Clone)]
pub(super) enum Secrets {
    /// None are needed.
    Unneeded,
    /// The API server has not said yet.
    Awaited,
    /// The Secret that is named does not exist.
    Missing,
    /// Something else is in the way.
    Refused(String),
    There(Arc<Credentials>),
}

/// Looks after the credentials of a configuration until it is aborted.
pub(super) fn watch(
    tenant: &Tenant,
    object: &SourceControlConfiguration,
) -> (watch::Receiver<Secrets>, Option<AbortHandle>) {
    let credentials = object.spec.credentials.as_ref();
    let named = credentials.map(|credentials| credentials.secret_name.clone());
    let is_ssh = is_ssh(&object.spec.repository);
    if named.is_none() && !is_ssh {
        return (watch::channel(Secrets::Unneeded).1, None);
    }
    let (sender, receiver) = watch::channel(Secrets::Awaited);
    let api = Api::namespaced(tenant.client.clone(), &tenant.assignment.home);
    let watch = Watch {
        deploy_key: is_ssh.then(|| DeployKey::of(api.clone(), &tenant.assignment.home, object)),
        api,
        sender,
    };
    let task = tokio::spawn(async move {
        match named {
            Some(name) => watch.secret(&name).await,
            None => {
                watch.tell(None, "").await;
            }
        }
    });
    (receiver, Some(task.abort_handle()))
}

struct Watch {
    api: Api<Secret>,
    /// Over SSH.
    deploy_key: Option<DeployKey>,
    sender: watch::Sender<Secrets>,
}

impl Watch {
    /// Follows the one Secret that the configuration names.
    async fn secret(&self, name: &str) {
        let mut stream = std::pin::pin!(watch_object(self.api.clone(), name));
        while let Some(event) = stream.next().await {
            match event {
                Ok(None) => {
                    self.sender.send_replace(Secrets::Missing);
                }
                Ok(secret) => self.tell(secret, name).await,
                Err(error) => {
                    if !matches!(error, watcher::Error::WatchFailed(_)) {
                        let what = format!("read the Secret {name}: {}", Chain(&error));
                        self.sender.send_if_modified(|known| {
                            // Those that were read stay good while the API server is away.
                            let new = matches!(known, Secrets::Awaited);
                            if new {
                                *known = Secrets::Refused(what);
                            }
                            new
                        });
                    }
                    sleep(jitter(RETRY)).await;
                }
            }
        }
    }

    /// Says what a Secret comes to, with the deploy key where it has none.
    async fn tell(&self, secret: Option<Secret>, name: &str) {
        let mut entries = Entries(secret);
        let read = match &self.deploy_key {
            None => entries.https(),
            Some(deploy_key) => match entries.ssh() {
                Ok((Some(key), hosts)) => Ok(Credentials::ssh(key, hosts)),
                Ok((None, hosts)) => {
                    let key = self.made(deploy_key).await;
                    Ok(Credentials::ssh(key, hosts))
                }
                Err(what) => Err(what),
            },
        };
        self.sender.send_replace(match read {
            Ok(credentials) => Secrets::There(Arc::new(credentials)),
            Err(what) => Secrets::Refused(format!("the Secret {name}: {what}")),
        });
    }

    /// The deploy key, for as long as it takes.
    async fn made(&self, deploy_key: &DeployKey) -> Key {
        loop {
            match deploy_key.read_or_make().await {
                Ok(key) => return key,
                Err(what) => self.sender.send_replace(Secrets::Refused(what)),
            };
            sleep(jitter(RETRY)).await;
        }
    }
}

/// The entries of a Secret, if there is one.
struct Entries(Option<Secret>);

impl Entries {
    fn text(&mut self, key: &str) -> Result<Option<String>, String> {
        let data = self.0.as_mut().and_then(|secret| secret.data.as_mut());
        let Some(bytes) = data.and_then(|data| data.remove(key)) else {
            return Ok(None);
        };
        String::from_utf8(bytes.0)
            .map(Some)
            .map_err(|_| format!("{key} is no UTF-8 text"))
    }

    fn https(&mut self) -> Result<Credentials, String> {
        Credentials::new(
            self.text("username")?,
            self.text("password")?,
            self.text("ca.crt")?,
        )
    }

    fn ssh(&mut self) -> Result<(Option<Key>, KnownHosts), String> {
        // ARM takes an empty setting for one that is not there.
        let text = self.text("identity")?.filter(|text| !text.is_empty());
        let key = text.map(|text| Key::read(&text));
        let key = key
            .transpose()
            .map_err(|what| format!("identity: {what}"))?;
        let hosts = self.text("known_hosts")?.unwrap_or_default();
        let hosts = KnownHosts::read(&hosts).map_err(|what| format!("known_hosts: {what}"))?;
        Ok((key, hosts))
    }
}
