//! What proves to a repository who we are: the Secret that the configuration names, and over SSH,
//! where that has no key, the deploy key of the configuration. Both are watched or made in the
//! background.

use std::{collections::BTreeMap, sync::Arc, time::Duration};

use futures::StreamExt as _;
use gitmoor_crds::SourceControlConfiguration;
use k8s_openapi::{ByteString, api::core::v1::Secret};
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

/// How long to wait after the API server has refused, or no deploy key was to be had.
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
    let watch = Watch {
        api: Api::namespaced(tenant.client.clone(), &tenant.assignment.home),
        deploy_key: is_ssh.then(|| DeployKey::of(tenant, object)),
        sender,
    };
    let task = tokio::spawn(async move {
        match named {
            Some(name) => watch.secret(&name).await,
            None => {
                while !watch.deploy_key(&KnownHosts::default()).await {
                    sleep(jitter(RETRY)).await;
                }
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
        // What it says of hosts, where it has no key and there is no deploy key yet.
        let mut keyless: Option<KnownHosts> = None;
        loop {
            if let Some(hosts) = &keyless
                && self.deploy_key(hosts).await
            {
                keyless = None;
            }
            let event = tokio::select! {
                event = stream.next() => event,
                () = sleep(jitter(RETRY)), if keyless.is_some() => continue,
            };
            match event {
                None => return,
                Some(Ok(None)) => {
                    keyless = None;
                    self.sender.send_replace(Secrets::Missing);
                }
                Some(Ok(Some(secret))) => {
                    keyless = self.read(secret.data.unwrap_or_default(), name);
                }
                Some(Err(error)) => {
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

    /// Says what a Secret comes to; gives its known hosts back when only the deploy key is wanting.
    fn read(&self, entries: BTreeMap<String, ByteString>, name: &str) -> Option<KnownHosts> {
        let mut entries = Entries(entries);
        let read = match &self.deploy_key {
            None => entries.https(),
            Some(_) => match entries.ssh() {
                Ok((Some(key), hosts)) => Ok(Credentials::ssh(key, hosts)),
                Ok((None, hosts)) => return Some(hosts),
                Err(what) => Err(what),
            },
        };
        match read {
            Ok(credentials) => self.there(credentials),
            Err(what) => self.refused(format!("the Secret {name}: {what}")),
        }
        None
    }

    /// Tries once to have the deploy key, and says what came of it; gives whether it is there.
    async fn deploy_key(&self, hosts: &KnownHosts) -> bool {
        let Some(deploy_key) = &self.deploy_key else {
            return true;
        };
        let key = deploy_key.read_or_make().await;
        let is_there = key.is_ok();
        match key {
            Ok(key) => self.there(Credentials::ssh(key, hosts.clone())),
            Err(what) => self.refused(what),
        }
        is_there
    }

    fn there(&self, credentials: Credentials) {
        self.sender
            .send_replace(Secrets::There(Arc::new(credentials)));
    }

    /// Nobody is woken by the same words again.
    fn refused(&self, what: String) {
        self.sender.send_if_modified(|known| {
            let new = !matches!(known, Secrets::Refused(said) if *said == what);
            if new {
                *known = Secrets::Refused(what);
            }
            new
        });
    }
}

/// The entries of a Secret.
struct Entries(BTreeMap<String, ByteString>);

impl Entries {
    fn text(&mut self, key: &str) -> Result<Option<String>, String> {
        let text = self
            .0
            .remove(key)
            .map(|ByteString(bytes)| String::from_utf8(bytes));
        text.transpose()
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
