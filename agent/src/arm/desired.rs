//! What ARM says of one configuration, as the resource it becomes. Pure. ARM's flags and names end
//! here.

use std::collections::BTreeMap;

use base64::{Engine as _, prelude::BASE64_STANDARD};
use gitmoor_arm::{
    ClusterId, ConfigurationId, ConfigurationProperties, OperatorParams, OperatorScope,
    ProtectedSettings, Secret, SourceControlConfiguration,
};
use gitmoor_crds::{
    ANNOTATION_CONFIRM_PRUNE, ANNOTATION_REQUESTED_AT, Credentials, GoDuration, Scope,
    SourceControlConfigurationSpec,
};
use k8s_openapi::ByteString;

use crate::{configurations::Key, pair::Pair};

/// The resource that a configuration of ARM becomes.
#[derive(Clone)]
pub(super) struct Desired {
    pub(super) id: ConfigurationId,
    pub(super) key: Key,
    pub(super) spec: SourceControlConfigurationSpec,
    /// When someone asked for a sync; any new value is one more.
    pub(super) requested_at: Option<String>,
    /// The commit whose deletions someone has confirmed.
    pub(super) confirm_prune: Option<String>,
    /// What the Secret holds that `spec.credentials` names; nothing when ARM has told of none.
    pub(super) credentials: Option<BTreeMap<&'static str, ByteString>>,
}

impl Desired {
    /// # Errors
    /// Everything that is wrong with it, each in a sentence that names the field.
    pub(super) fn read(
        listed: &SourceControlConfiguration,
        name: &str,
        cluster: &ClusterId,
    ) -> Result<Self, Vec<String>> {
        let properties = &listed.properties;
        let mut faults = gitmoor_arm::check(name, properties);
        faults.extend(gitmoor_arm::unsupported(properties));
        let mut faults: Vec<String> = faults.iter().map(ToString::to_string).collect();
        let id = cluster
            .configuration(name)
            .map_err(|error| error.to_string());
        let spec = spec(properties);
        let credentials = credentials(properties);
        // The rules have named the fields at fault already; should they have missed one, what
        // cannot be read here says so itself.
        match (id, spec, credentials) {
            (Ok(id), Ok((mut spec, asked)), Ok(credentials)) if faults.is_empty() => {
                let key = Key {
                    namespace: properties.operator_namespace().to_owned(),
                    name: name.to_owned(),
                };
                spec.credentials = credentials.as_ref().map(|_| Credentials {
                    secret_name: secret_name(&key),
                });
                Ok(Self {
                    id,
                    key,
                    spec,
                    requested_at: asked.requested_at,
                    confirm_prune: asked.confirm_prune,
                    credentials,
                })
            }
            (id, spec, credentials) => {
                if faults.is_empty() {
                    faults.extend(
                        [id.err(), spec.err(), credentials.err()]
                            .into_iter()
                            .flatten(),
                    );
                }
                Err(faults)
            }
        }
    }

    /// What is said in annotations.
    pub(super) fn annotations(&self) -> BTreeMap<&str, &str> {
        let asked = [
            (ANNOTATION_REQUESTED_AT, &self.requested_at),
            (ANNOTATION_CONFIRM_PRUNE, &self.confirm_prune),
        ];
        let said = asked
            .into_iter()
            .filter_map(|(name, value)| Some((name, value.as_deref()?)));
        said.collect()
    }

    /// The operator that serves it.
    pub(super) fn pair(&self) -> Pair {
        Pair {
            namespace: self.key.namespace.clone(),
            scope: self.spec.scope,
        }
    }
}

/// The Secret of a configuration that came from ARM. It lives in the operator's home: for a
/// cluster-wide one that is the agent's namespace, so the name has both parts.
pub(super) fn secret_name(key: &Key) -> String {
    format!("gitmoor.{}.{}", key.namespace, key.name)
}

/// What is asked of the operator beside the spec.
struct Asked {
    requested_at: Option<String>,
    confirm_prune: Option<String>,
}

fn spec(
    properties: &ConfigurationProperties,
) -> Result<(SourceControlConfigurationSpec, Asked), String> {
    let url = properties.repository_url.as_deref().unwrap_or_default();
    let url = gitmoor_arm::repository_url(url).map_err(|error| error.to_string())?;
    let params = OperatorParams::parse(properties.operator_params()).map_err(|problems| {
        let problems: Vec<String> = problems.iter().map(ToString::to_string).collect();
        problems.join("; ")
    })?;
    let mut spec = SourceControlConfigurationSpec::new(url);
    spec.scope = match properties.operator_scope() {
        OperatorScope::Namespace => Scope::Namespace,
        OperatorScope::Cluster => Scope::Cluster,
        OperatorScope::Other(scope) => return Err(format!("`{scope}` is no scope")),
    };
    spec.reference.branch = params.branch;
    if !params.paths.is_empty() {
        spec.paths = params.paths;
    }
    if let Some(interval) = params.poll_interval {
        spec.interval = GoDuration(interval);
    }
    if let Some(timeout) = params.timeout {
        spec.timeout = GoDuration(timeout);
    }
    spec.depends_on = params.depends_on;
    spec.prune = params.garbage_collection;
    spec.suspend = params.suspend;
    let asked = Asked {
        requested_at: params.requested_at,
        confirm_prune: params.confirm_prune,
    };
    Ok((spec, asked))
}

/// The keys are those that `spec.credentials` documents.
fn credentials(
    properties: &ConfigurationProperties,
) -> Result<Option<BTreeMap<&'static str, ByteString>>, String> {
    let none = ProtectedSettings::default();
    let settings = properties
        .configuration_protected_settings
        .as_ref()
        .unwrap_or(&none);
    let read = |name: &str| {
        settings
            .decode_text(name)
            .map_err(|error| format!("configurationProtectedSettings.{name}: {error}"))
    };
    let mut keys: BTreeMap<&'static str, ByteString> = [
        ("username", read(ProtectedSettings::HTTPS_USER)?),
        ("password", read(ProtectedSettings::HTTPS_KEY)?),
        ("identity", read(ProtectedSettings::SSH_PRIVATE_KEY)?),
        ("ca.crt", read(ProtectedSettings::HTTPS_CA_CERT)?),
    ]
    .into_iter()
    .filter_map(|(key, value)| Some((key, bytes(&value?))))
    .collect();
    if let Some(hosts) = properties.ssh_known_hosts_contents() {
        let hosts: String = hosts.split_ascii_whitespace().collect();
        let hosts = BASE64_STANDARD
            .decode(hosts)
            .map_err(|_| "sshKnownHostsContents: the value is no base64".to_owned())?;
        keys.insert("known_hosts", ByteString(hosts));
    }
    Ok(Some(keys).filter(|keys| !keys.is_empty()))
}

fn bytes(secret: &Secret) -> ByteString {
    ByteString(secret.expose().as_bytes().to_vec())
}
