//! Writes the status: when it changed, and at most once a second.

use std::time::Duration;

use gitmoor_crds::{SourceControlConfiguration, SourceControlConfigurationStatus};
use k8s_openapi::jiff::Timestamp;
use kube::{
    Api, Client, Resource as _, ResourceExt as _,
    api::{Patch, PatchParams},
};
use serde_json::json;
use tokio::time::Instant;

use super::{Facts, status};

/// At most one write a second.
const PAUSE: Duration = Duration::from_secs(1);

/// How long to wait after a write failed.
const RETRY: Duration = Duration::from_secs(5);

/// The field manager of an operator's status.
const MANAGER: &str = "gitmoor";

/// Why a status was not written.
#[derive(Debug, thiserror::Error)]
pub enum WriteError {
    /// The configuration has changed since it was seen; a newer version of it is on its way.
    #[error("write the status: the configuration has changed in the meantime")]
    Changed,
    /// The API server refused, or did not answer.
    #[error("write the status")]
    Request(#[source] kube::Error),
}

/// The status of one configuration.
pub struct Reporter {
    api: Api<SourceControlConfiguration>,
    name: String,
    /// What the cluster has.
    written: SourceControlConfigurationStatus,
    /// The newest resource version that is known.
    version: Option<String>,
    not_before: Instant,
    due: bool,
}

impl Reporter {
    /// A reporter of a configuration as it was seen.
    pub fn new(client: Client, object: &SourceControlConfiguration) -> Self {
        let namespace = object.namespace().unwrap_or_default();
        Self {
            api: Api::namespaced(client, &namespace),
            name: object.name_any(),
            written: object.status.clone().unwrap_or_default(),
            version: object.resource_version(),
            not_before: Instant::now(),
            due: false,
        }
    }

    /// Takes note of a newer version of the configuration.
    pub fn seen(&mut self, object: &SourceControlConfiguration) {
        let newer =
            |version: &Option<String>| version.as_ref().and_then(|text| text.parse::<u64>().ok());
        if newer(&object.resource_version()) >= newer(&self.version) {
            self.version = object.resource_version();
            self.written = object.status.clone().unwrap_or_default();
        }
    }

    /// Takes note that the facts have changed.
    pub fn changed(&mut self) {
        self.due = true;
    }

    /// When the status wants to be written; nothing when it does not.
    pub fn due(&self) -> Option<Instant> {
        self.due.then_some(self.not_before)
    }

    /// Says which operator process serves the configuration from now on, and leaves the rest.
    ///
    /// # Errors
    /// When it cannot be written.
    pub async fn claim(&mut self, instance: &str) -> Result<(), WriteError> {
        let mut new = self.written.clone();
        new.instance = Some(instance.to_owned());
        self.send(new).await
    }

    /// Writes what the facts come to, unless the cluster has it already.
    ///
    /// # Errors
    /// When it cannot be written: it stays due.
    pub async fn write(&mut self, facts: &Facts) -> Result<(), WriteError> {
        let new = status(facts, &self.written, Timestamp::now());
        if new != self.written {
            self.send(new).await?;
        }
        self.due = false;
        Ok(())
    }

    /// The status as the cluster has it.
    pub fn written(&self) -> &SourceControlConfigurationStatus {
        &self.written
    }

    async fn send(&mut self, new: SourceControlConfigurationStatus) -> Result<(), WriteError> {
        self.not_before = Instant::now() + PAUSE;
        let patch = json!({
            "apiVersion": SourceControlConfiguration::api_version(&()),
            "kind": SourceControlConfiguration::kind(&()),
            // Only over what was seen: a newer operator may have taken over.
            "metadata": {"name": self.name, "resourceVersion": self.version},
            "status": new,
        });
        let parameters = PatchParams::apply(MANAGER).force();
        match self
            .api
            .patch_status(&self.name, &parameters, &Patch::Apply(&patch))
            .await
        {
            Ok(object) => {
                self.version = object.resource_version();
                self.written = object.status.unwrap_or_default();
                Ok(())
            }
            Err(kube::Error::Api(status)) if status.code == 409 => Err(WriteError::Changed),
            Err(error) => {
                self.not_before = Instant::now() + RETRY;
                Err(WriteError::Request(error))
            }
        }
    }
}
