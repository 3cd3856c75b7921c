//! The body of PUT, read so that every field that is wrong or not followed is named.

use std::collections::BTreeMap;

use serde_json::{Map, Value};

use super::{
    DEFAULT_SECONDS, FluxProperties, GIT_REPOSITORY, GitRepository, Kustomization, RepositoryRef,
};
use crate::{FieldError, OperatorScope, ProtectedChange, ProtectedSettings, Secret};

const ONLY_GIT: &str = "only Git repositories are read: use gitRepository";
const ONLY_BRANCHES: &str = "a branch is followed: write repositoryRef.branch";

/// A body of PUT. Read-only and unknown fields are ignored, whatever they hold.
#[derive(Clone, Debug, PartialEq)]
pub struct FluxRequest {
    /// What is desired, with defaults filled in. To be [checked](super::check_flux) with the protected
    /// settings.
    pub properties: FluxProperties,
    /// What happens to the protected settings.
    pub protected: ProtectedChange,
    /// Every field that has the wrong type, or asks for what is not done; nothing is to be written
    /// then.
    pub unread: Vec<FieldError>,
}

impl FluxRequest {
    /// Reads a body, as far as it can be read.
    pub fn read(body: &Value) -> Self {
        let mut errors = Vec::new();
        let none = Map::new();
        let properties = match body.get("properties") {
            Some(Value::Object(properties)) => properties,
            _ => {
                errors.push(FieldError {
                    field: "properties".into(),
                    message: "an object is needed".into(),
                });
                &none
            }
        };
        let mut fields = Fields {
            prefix: "properties".into(),
            object: properties,
            errors: &mut errors,
        };
        let protected = fields.protected();
        let properties = fields.properties();
        Self {
            properties,
            protected,
            unread: errors,
        }
    }
}

/// The fields of an object, and what is wrong with any.
struct Fields<'a> {
    prefix: String,
    object: &'a Map<String, Value>,
    errors: &'a mut Vec<FieldError>,
}

impl Fields<'_> {
    fn properties(&mut self) -> FluxProperties {
        for source in ["bucket", "azureBlob", "ociRepository"] {
            self.refuse(source, ONLY_GIT);
        }
        self.refuse(
            "reconciliationWaitDuration",
            "nothing is waited for: read complianceState",
        );
        if self.switch("waitForReconciliation", false) {
            self.wrong(
                "waitForReconciliation",
                "nothing is waited for: read complianceState",
            );
        }
        let source_kind = self.text("sourceKind").unwrap_or(GIT_REPOSITORY.into());
        if !source_kind.eq_ignore_ascii_case(GIT_REPOSITORY) {
            self.wrong(
                "sourceKind",
                "only Git repositories are read: write GitRepository",
            );
        }
        let scope = self.text("scope");
        FluxProperties {
            scope: scope.map_or(OperatorScope::Cluster, |text| text.as_str().into()),
            namespace: self.text("namespace").unwrap_or("default".into()),
            source_kind: GIT_REPOSITORY.into(),
            suspend: self.switch("suspend", false),
            git_repository: self.child("gitRepository", true, |fields| fields.repository()),
            kustomizations: self.child("kustomizations", false, |fields| fields.kustomizations()),
        }
    }

    fn repository(&mut self) -> GitRepository {
        self.refuse(
            "localAuthRef",
            "no Secret of the cluster can be named: use configurationProtectedSettings",
        );
        if self
            .text("provider")
            .is_some_and(|provider| !provider.eq_ignore_ascii_case("Generic"))
        {
            self.wrong("provider", "there is no workload identity: write Generic");
        }
        GitRepository {
            url: self.text("url").unwrap_or_default().trim().to_owned(),
            timeout_in_seconds: self.seconds("timeoutInSeconds").unwrap_or(DEFAULT_SECONDS),
            sync_interval_in_seconds: self
                .seconds("syncIntervalInSeconds")
                .unwrap_or(DEFAULT_SECONDS),
            repository_ref: self
                .is_given("repositoryRef")
                .then(|| self.child("repositoryRef", false, |fields| fields.reference())),
            ssh_known_hosts: self.text("sshKnownHosts"),
            https_user: self.text("httpsUser"),
            https_ca_cert: self.text("httpsCACert"),
        }
    }

    fn reference(&mut self) -> RepositoryRef {
        for other in ["tag", "semver", "commit"] {
            self.refuse(other, ONLY_BRANCHES);
        }
        RepositoryRef {
            branch: self.text("branch"),
        }
    }

    fn kustomizations(&mut self) -> BTreeMap<String, Kustomization> {
        let object = self.object;
        let names = object.keys().filter(|name| !object[*name].is_null());
        names
            .map(|name| {
                (
                    name.clone(),
                    self.child(name, true, |fields| fields.kustomization()),
                )
            })
            .collect()
    }

    fn kustomization(&mut self) -> Kustomization {
        self.refuse(
            "postBuild",
            "nothing is substituted: commit what the variables make",
        );
        if self.switch("force", false) {
            self.wrong(
                "force",
                "objects say so themselves: annotate them with gitmoor.io/replace: allowed",
            );
        }
        if !self.switch("wait", true) {
            self.wrong(
                "wait",
                "objects are always waited for: leave it out or write true",
            );
        }
        Kustomization {
            path: self.text("path").unwrap_or_default(),
            depends_on: self.texts("dependsOn"),
            timeout_in_seconds: self.seconds("timeoutInSeconds").unwrap_or(DEFAULT_SECONDS),
            sync_interval_in_seconds: self
                .seconds("syncIntervalInSeconds")
                .unwrap_or(DEFAULT_SECONDS),
            retry_interval_in_seconds: self.seconds("retryIntervalInSeconds"),
            prune: self.switch("prune", false),
            force: false,
            wait: true,
        }
    }

    fn protected(&mut self) -> ProtectedChange {
        const FIELD: &str = "configurationProtectedSettings";
        let settings = match self.object.get(FIELD) {
            None => return ProtectedChange::Keep,
            Some(Value::Null) => return ProtectedChange::Replace(ProtectedSettings::default()),
            Some(Value::Object(settings)) => settings,
            Some(_) => {
                self.wrong(FIELD, "an object is needed");
                return ProtectedChange::Keep;
            }
        };
        let mut read = Vec::new();
        for (name, value) in settings {
            match value {
                Value::String(text) => read.push((name, Secret::from(text.as_str()))),
                Value::Null => {}
                _ => self.wrong(&format!("{FIELD}.{name}"), "a text is needed"),
            }
        }
        ProtectedChange::Replace(read.into_iter().collect())
    }

    /// What is read of an object below this one; of an empty one when it is not there.
    fn child<T>(&mut self, name: &str, needed: bool, read: impl FnOnce(&mut Fields<'_>) -> T) -> T {
        let none = Map::new();
        let object = match self.object.get(name) {
            Some(Value::Object(object)) => object,
            Some(Value::Null) | None if !needed => &none,
            _ => {
                self.wrong(name, "an object is needed");
                &none
            }
        };
        read(&mut Fields {
            prefix: format!("{}.{name}", self.prefix),
            object,
            errors: self.errors,
        })
    }

    fn is_given(&self, name: &str) -> bool {
        self.object.get(name).is_some_and(|value| !value.is_null())
    }

    /// A field that must not say anything.
    fn refuse(&mut self, name: &str, why: &str) {
        if self.is_given(name) {
            self.wrong(name, why);
        }
    }

    /// A text; an absent, null or empty one is none.
    fn text(&mut self, name: &str) -> Option<String> {
        match self.object.get(name)? {
            Value::String(text) => Some(text.clone()).filter(|text| !text.is_empty()),
            Value::Null => None,
            _ => {
                self.wrong(name, "a text is needed");
                None
            }
        }
    }

    fn texts(&mut self, name: &str) -> Vec<String> {
        let read = |value: &Value| value.as_str().map(str::to_owned);
        match self.object.get(name) {
            None | Some(Value::Null) => Some(Vec::new()),
            Some(Value::Array(values)) => values.iter().map(read).collect(),
            Some(_) => None,
        }
        .unwrap_or_else(|| {
            self.wrong(name, "a list of texts is needed");
            Vec::new()
        })
    }

    fn switch(&mut self, name: &str, default: bool) -> bool {
        match self.object.get(name) {
            Some(Value::Bool(value)) => *value,
            None | Some(Value::Null) => default,
            Some(_) => {
                self.wrong(name, "true or false is needed");
                default
            }
        }
    }

    fn seconds(&mut self, name: &str) -> Option<u64> {
        let value = self.object.get(name).filter(|value| !value.is_null())?;
        let seconds = value.as_u64().filter(|seconds| *seconds > 0);
        if seconds.is_none() {
            self.wrong(name, "a whole number of seconds, at least 1, is needed");
        }
        seconds
    }

    fn wrong(&mut self, name: &str, message: &str) {
        self.errors.push(FieldError {
            field: format!("{}.{name}", self.prefix),
            message: message.into(),
        });
    }
}
