//! What a cluster is made of, as a test chooses it.

use std::{fmt, path::PathBuf, time::Duration};

/// A server of the control plane.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Component {
    /// The store.
    Etcd,
    /// The Kubernetes API.
    ApiServer,
    /// The built-in controllers.
    ControllerManager,
}

impl Component {
    /// Every component, in the order in which they start.
    pub const ALL: [Self; 3] = [Self::Etcd, Self::ApiServer, Self::ControllerManager];

    /// The program's usual name, which is also the subcommand of [`program`](crate::program).
    pub fn name(self) -> &'static str {
        match self {
            Self::Etcd => "etcd",
            Self::ApiServer => "kube-apiserver",
            Self::ControllerManager => "kube-controller-manager",
        }
    }
}

impl fmt::Display for Component {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// Which controllers run.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum Controllers {
    /// Those that kube-controller-manager runs by default.
    #[default]
    All,
    /// Only these, by the names of its flag `--controllers`, such as `garbage-collector-controller`.
    Only(Vec<String>),
    /// None: kube-controller-manager is not started. Namespaces then have no default
    /// ServiceAccount, are never finalized, and nothing is garbage collected.
    None,
}

impl Controllers {
    /// Whether the controller of this name runs.
    pub fn runs(&self, name: &str) -> bool {
        match self {
            Self::All => true,
            Self::Only(names) => names.iter().any(|one| one == name || one == "*"),
            Self::None => false,
        }
    }
}

/// How to start a [`Cluster`](crate::Cluster).
#[derive(Clone, Debug)]
pub struct Options {
    /// Whether requests are logged, so that they can be counted; default true.
    pub audit: bool,
    /// Default all.
    pub controllers: Controllers,
    /// Where to keep the data, instead of in a temporary directory that is removed in the end.
    /// What an earlier cluster left there is used again, but on other ports.
    pub directory: Option<PathBuf>,
    /// Further flags of etcd; a flag given here wins over ours.
    pub etcd_arguments: Vec<String>,
    /// Further flags of kube-apiserver.
    pub api_server_arguments: Vec<String>,
    /// Further flags of kube-controller-manager.
    pub controller_manager_arguments: Vec<String>,
    /// How long a component may take to become ready; default two minutes, for a machine that is
    /// compiling something else. It usually takes about a second.
    pub ready_within: Duration,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            audit: true,
            controllers: Controllers::All,
            directory: None,
            etcd_arguments: Vec::new(),
            api_server_arguments: Vec::new(),
            controller_manager_arguments: Vec::new(),
            ready_within: Duration::from_secs(120),
        }
    }
}
