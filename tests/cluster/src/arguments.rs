//! The flags of each server. Pure: from values to strings.

use std::path::{Path, PathBuf};

use crate::options::{Component, Controllers, Options};

/// Where everything lies below the cluster's directory.
#[derive(Clone, Debug)]
pub(crate) struct Layout {
    directory: PathBuf,
}

impl Layout {
    pub(crate) fn new(directory: &Path) -> Self {
        Self {
            directory: directory.to_owned(),
        }
    }

    pub(crate) fn keys(&self) -> PathBuf {
        self.directory.join("keys")
    }

    pub(crate) fn logs(&self) -> PathBuf {
        self.directory.join("logs")
    }

    pub(crate) fn log(&self, component: Component) -> PathBuf {
        self.logs().join(format!("{component}.log"))
    }

    pub(crate) fn audit_log(&self) -> PathBuf {
        self.logs().join("audit.log")
    }

    pub(crate) fn audit_policy(&self) -> PathBuf {
        self.directory.join("audit-policy.json")
    }

    /// The administrator's.
    pub(crate) fn kubeconfig(&self) -> PathBuf {
        self.directory.join("kubeconfig")
    }

    pub(crate) fn controller_manager_kubeconfig(&self) -> PathBuf {
        self.keys().join("controller-manager.kubeconfig")
    }

    pub(crate) fn kubectl_cache(&self) -> PathBuf {
        self.directory.join("kubectl-cache")
    }

    fn data(&self) -> PathBuf {
        self.directory.join("etcd")
    }
}

/// The port of each component, by its place in [`Component::ALL`].
pub(crate) type Ports = [u16; Component::ALL.len()];

/// The flags of a component; `options` has the last word.
pub(crate) fn arguments(
    component: Component,
    layout: &Layout,
    ports: &Ports,
    options: &Options,
) -> Vec<String> {
    let (mut arguments, further) = match component {
        Component::Etcd => (etcd(layout, ports), &options.etcd_arguments),
        Component::ApiServer => (
            api_server(layout, ports, options.audit),
            &options.api_server_arguments,
        ),
        Component::ControllerManager => (
            controller_manager(layout, ports, &options.controllers),
            &options.controller_manager_arguments,
        ),
    };
    arguments.extend(further.iter().cloned());
    arguments
}

fn etcd(layout: &Layout, ports: &Ports) -> Vec<String> {
    let url = etcd_url(ports);
    // Nobody speaks to a single member, so its port may be any, and what it calls itself is a word.
    let nowhere = "http://127.0.0.1:2380";
    vec![
        "--name=etcd".to_owned(),
        flag("data-dir", layout.data()),
        format!("--listen-client-urls={url}"),
        format!("--advertise-client-urls={url}"),
        "--listen-peer-urls=http://127.0.0.1:0".to_owned(),
        format!("--initial-advertise-peer-urls={nowhere}"),
        format!("--initial-cluster=etcd={nowhere}"),
        // A killed process loses nothing by this, only a machine without power would.
        "--unsafe-no-fsync".to_owned(),
        // In milliseconds: one member waits for an election too, but has nobody to be slow.
        "--heartbeat-interval=10".to_owned(),
        "--election-timeout=100".to_owned(),
        "--log-level=warn".to_owned(),
    ]
}

fn api_server(layout: &Layout, ports: &Ports, audit: bool) -> Vec<String> {
    let keys = layout.keys();
    let mut arguments = vec![
        format!("--etcd-servers={}", etcd_url(ports)),
        "--bind-address=127.0.0.1".to_owned(),
        "--advertise-address=127.0.0.1".to_owned(),
        format!("--secure-port={}", ports[Component::ApiServer as usize]),
        // A loopback address may not be an endpoint, and nothing looks for one.
        "--endpoint-reconciler-type=none".to_owned(),
        // Or one that is asked to end waits a minute for the watches of others.
        "--shutdown-watch-termination-grace-period=1s".to_owned(),
        "--service-cluster-ip-range=10.96.0.0/16".to_owned(),
        "--allow-privileged=true".to_owned(),
        "--authorization-mode=RBAC".to_owned(),
        flag("cert-dir", &keys),
        flag("client-ca-file", keys.join("ca.pem")),
        flag("tls-cert-file", keys.join("serving.pem")),
        flag("tls-private-key-file", keys.join("serving.key")),
        "--service-account-issuer=https://kubernetes.default.svc".to_owned(),
        flag("service-account-key-file", keys.join("service-account.pub")),
        flag(
            "service-account-signing-key-file",
            keys.join("service-account.key"),
        ),
    ];
    if audit {
        arguments.extend([
            flag("audit-policy-file", layout.audit_policy()),
            flag("audit-log-path", layout.audit_log()),
            // Written before the response ends, so that whoever has the response finds the line.
            "--audit-log-mode=blocking".to_owned(),
            // In MiB: never rotated, since marks are positions in one file.
            "--audit-log-maxsize=1048576".to_owned(),
        ]);
    }
    arguments
}

fn controller_manager(layout: &Layout, ports: &Ports, controllers: &Controllers) -> Vec<String> {
    let keys = layout.keys();
    let controllers = match controllers {
        Controllers::All => "*".to_owned(),
        Controllers::Only(names) => names.join(","),
        Controllers::None => String::new(),
    };
    vec![
        format!("--controllers={controllers}"),
        flag("kubeconfig", layout.controller_manager_kubeconfig()),
        "--leader-elect=false".to_owned(),
        // Without it, the one user of all controllers would need the rights of each.
        "--use-service-account-credentials=true".to_owned(),
        // The limits of a client that must spare a real cluster would make tests wait.
        "--kube-api-qps=500".to_owned(),
        "--kube-api-burst=1000".to_owned(),
        "--bind-address=127.0.0.1".to_owned(),
        format!(
            "--secure-port={}",
            ports[Component::ControllerManager as usize]
        ),
        flag("cert-dir", &keys),
        flag("tls-cert-file", keys.join("serving.pem")),
        flag("tls-private-key-file", keys.join("serving.key")),
        flag("root-ca-file", keys.join("ca.pem")),
        flag("cluster-signing-cert-file", keys.join("ca.pem")),
        flag("cluster-signing-key-file", keys.join("ca.key")),
        flag(
            "service-account-private-key-file",
            keys.join("service-account.key"),
        ),
    ]
}

pub(crate) fn etcd_url(ports: &Ports) -> String {
    format!("http://127.0.0.1:{}", ports[Component::Etcd as usize])
}

fn flag(name: &str, path: impl AsRef<Path>) -> String {
    format!("--{name}={}", path.as_ref().display())
}
