//! The resource itself and the page of a list.

use serde::{Deserialize, Serialize, Serializer};

use super::{
    ComplianceStatus, IdentityType, OperatorScope, OperatorType, ProtectedSettings,
    ProvisioningState, Timestamp,
};

/// One configuration, as GET, PUT and LIST give it. A body of PUT is read by
/// [`PutRequest`](crate::PutRequest), which reports every field at fault and ignores those that
/// only the server writes.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct SourceControlConfiguration {
    /// The ARM id; read-only.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub id: Option<String>,
    /// The name; read-only.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    /// [`RESOURCE_TYPE`](crate::RESOURCE_TYPE); read-only.
    #[serde(default, rename = "type", skip_serializing_if = "Option::is_none")]
    pub resource_type: Option<String>,
    /// The version of what is desired, not of the status; read-only. ARM has none; the portal
    /// does, and a [`StatusReport`](crate::StatusReport) names the one it speaks of.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub etag: Option<String>,
    /// What is desired and what was reported.
    #[serde(default)]
    pub properties: ConfigurationProperties,
    /// Who wrote it and when; read-only.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub system_data: Option<SystemData>,
}

/// What a configuration desires and what its cluster reported. Nothing is required on the wire;
/// the methods give ARM's defaults.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct ConfigurationProperties {
    /// The Git repository: a URL or `user@host:path`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub repository_url: Option<String>,
    /// The namespace of the operator.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub operator_namespace: Option<String>,
    /// The name of this operator.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub operator_instance_name: Option<String>,
    /// The kind of operator.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub operator_type: Option<OperatorType>,
    /// The operator's flags, see [`OperatorParams`](crate::OperatorParams).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub operator_params: Option<String>,
    /// The secrets. Always serialised as `{}`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub configuration_protected_settings: Option<ProtectedSettings>,
    /// How far the operator's rights reach.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub operator_scope: Option<OperatorScope>,
    /// The public SSH key by which the repository is read; read-only, empty until reported.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub repository_public_key: Option<String>,
    /// A known_hosts file in base64. ARM does not treat it as a secret.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ssh_known_hosts_contents: Option<String>,
    /// Whether the Helm Operator is wanted as well.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub enable_helm_operator: Option<bool>,
    /// How the Helm Operator is installed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub helm_operator_properties: Option<HelmOperatorProperties>,
    /// The state of ARM's record; read-only.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub provisioning_state: Option<ProvisioningState>,
    /// What the cluster reported; read-only. The `az` command line fails without it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub compliance_status: Option<ComplianceStatus>,
}

impl ConfigurationProperties {
    /// The namespace of the operator: `default` when none is given.
    pub fn operator_namespace(&self) -> &str {
        non_empty(self.operator_namespace.as_deref()).unwrap_or("default")
    }

    /// How far the operator's rights reach: `cluster` when nothing is given.
    pub fn operator_scope(&self) -> &OperatorScope {
        self.operator_scope
            .as_ref()
            .unwrap_or(&OperatorScope::Cluster)
    }

    /// The operator's flags; empty when none are given.
    pub fn operator_params(&self) -> &str {
        self.operator_params.as_deref().unwrap_or_default()
    }

    /// The known_hosts file in base64, if one is given.
    pub fn ssh_known_hosts_contents(&self) -> Option<&str> {
        non_empty(self.ssh_known_hosts_contents.as_deref())
    }
}

/// ARM writes an empty text where nothing was given.
fn non_empty(text: Option<&str>) -> Option<&str> {
    text.filter(|text| !text.is_empty())
}

/// How the Helm Operator is installed.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct HelmOperatorProperties {
    /// The version of its chart.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub chart_version: Option<String>,
    /// Flags for `helm --set`, not YAML.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub chart_values: Option<String>,
}

/// Who wrote a resource and when. Written in full, with `null` where nothing is known.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct SystemData {
    /// Who created it.
    pub created_by: Option<String>,
    /// What kind of identity did.
    pub created_by_type: Option<IdentityType>,
    /// When.
    pub created_at: Option<Timestamp>,
    /// Who changed it last.
    pub last_modified_by: Option<String>,
    /// What kind of identity did.
    pub last_modified_by_type: Option<IdentityType>,
    /// When. On Azure this seems to move with status reports too: it says nothing of the desired.
    pub last_modified_at: Option<Timestamp>,
}

/// One page of a list.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct ListPage<T> {
    /// The page's items. A page without it is no page, not an empty one.
    pub value: Vec<T>,
    /// Where the next page is; nothing on the last one.
    #[serde(default = "Option::default")]
    pub next_link: Option<String>,
}

/// A configuration as the data plane sends it: its protected settings are in clear.
#[derive(Clone, Copy)]
pub struct WithSecrets<'a>(pub &'a SourceControlConfiguration);

impl Serialize for WithSecrets<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut body = serde_json::to_value(self.0).map_err(serde::ser::Error::custom)?;
        if let Some(settings) = &self.0.properties.configuration_protected_settings {
            body["properties"]["configurationProtectedSettings"] = settings
                .iter()
                .map(|(name, value)| (name.to_owned(), value.expose().into()))
                .collect::<serde_json::Map<_, _>>()
                .into();
        }
        body.serialize(serializer)
    }
}
