//! What can be set about an agent.

use std::{collections::BTreeMap, net::SocketAddr};

use gitmoor_operator::EngineSettings;
use k8s_openapi::{
    api::core::v1::ResourceRequirements, apimachinery::pkg::api::resource::Quantity,
};
use serde::Deserialize;

/// The settings of an agent.
#[derive(Clone, Debug, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
pub struct Settings {
    /// The namespace that the agent lives in, where the ServiceAccounts, inventories and
    /// credentials of operators with scope `cluster` are kept too.
    pub namespace: String,
    /// How operators run.
    pub runtime: Runtime,
    /// The ARM, or portal, that says which configurations this cluster has. Without it there are
    /// only those that people make.
    pub arm: Option<gitmoor_arm::Settings>,
    /// Which configurations may have the scope `cluster`.
    pub allow_cluster_scope: ClusterScope,
    /// Namespaces that are not given to an operator of scope `namespace`, besides `kube-*` and the
    /// agent's own.
    pub protected_namespaces: Vec<String>,
    /// The image of operators that run as Deployments: that of the agent, as a rule.
    pub operator_image: String,
    /// What a Deployment of an operator asks for and is limited to.
    pub operator_resources: ResourceRequirements,
    /// Where metrics and probes are served over plain HTTP, such as `[::]:8080`; nowhere when
    /// absent. Operators that run as Deployments always serve them, on port 8080.
    pub metrics_address: Option<SocketAddr>,
    /// What holds for every operator.
    pub operator: EngineSettings,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            namespace: "gitmoor-system".to_owned(),
            runtime: Runtime::default(),
            arm: None,
            allow_cluster_scope: ClusterScope::default(),
            protected_namespaces: Vec::new(),
            operator_image: concat!("gitmoor:", env!("CARGO_PKG_VERSION")).to_owned(),
            operator_resources: operator_resources(),
            metrics_address: None,
            operator: EngineSettings::default(),
        }
    }
}

/// How operators run.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum Runtime {
    /// Each as a Deployment of its own.
    #[default]
    Deployment,
    /// Each as a task of the agent, with a token of its own ServiceAccount.
    #[serde(alias = "in-process")]
    InProcess,
}

/// Which configurations may have the scope `cluster`, and so an operator that may do everything.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum ClusterScope {
    /// Those that this agent took from ARM.
    #[default]
    #[serde(alias = "from-arm")]
    FromArm,
    /// All: whoever may write such a configuration has the whole cluster.
    Always,
    /// None.
    Never,
}

/// Room for the store of a large repository; an operator of 10,000 objects needs some 25 MiB.
fn operator_resources() -> ResourceRequirements {
    let quantities = |list: &[(&str, &str)]| -> Option<BTreeMap<String, Quantity>> {
        let pairs = list.iter();
        Some(
            pairs
                .map(|&(name, amount)| (name.to_owned(), Quantity(amount.to_owned())))
                .collect(),
        )
    };
    ResourceRequirements {
        requests: quantities(&[("cpu", "10m"), ("memory", "32Mi")]),
        limits: quantities(&[("memory", "512Mi")]),
        claims: None,
    }
}
