//! Which cluster, and as whom: the flags for it, and the client settings that come of them.

use std::{env, path::PathBuf};

use anyhow::Context as _;
use clap::Args;
use kube::{
    Config,
    config::{KubeConfigOptions, Kubeconfig},
};
use serde::de::DeserializeOwned;

use crate::settings::Sources;

#[derive(Clone, Debug, Args)]
pub(crate) struct Kubernetes {
    /// The kubeconfig of the cluster; without it the Pod's own ServiceAccount, and outside of a
    /// cluster `$KUBECONFIG` or `~/.kube/config`.
    #[arg(long, value_name = "FILE")]
    kubeconfig: Option<PathBuf>,
    /// The context of the kubeconfig; without it the current one.
    #[arg(long, value_name = "NAME")]
    context: Option<String>,
}

impl Kubernetes {
    /// Whether the cluster is reached from a Pod of its own.
    pub(crate) fn in_cluster(&self) -> bool {
        self.kubeconfig.is_none()
            && self.context.is_none()
            && env::var_os("KUBERNETES_SERVICE_HOST").is_some()
    }

    /// A person's own cache directory takes the place of the container's, which they cannot write.
    pub(crate) fn directory_for_a_person<T: DeserializeOwned>(
        &self,
        sources: Sources<T>,
        setting: &str,
    ) -> Sources<T> {
        let cache = env::var_os("XDG_CACHE_HOME").map(PathBuf::from);
        let home = env::var_os("HOME").map(|home| PathBuf::from(home).join(".cache"));
        match cache.filter(|path| path.is_absolute()).or(home) {
            Some(cache) if !self.in_cluster() => {
                sources.default_of(setting, cache.join("gitmoor/repositories"))
            }
            _ => sources,
        }
    }

    /// The files whose change means another way to the cluster. What is read in a Pod, kube reads
    /// anew by itself.
    pub(crate) fn files(&self) -> &[PathBuf] {
        self.kubeconfig.as_slice()
    }

    /// Reads how to reach the cluster.
    pub(crate) async fn config(&self) -> anyhow::Result<Config> {
        if self.in_cluster() {
            return Config::incluster().context("read the ServiceAccount of this Pod");
        }
        let kubeconfig = match &self.kubeconfig {
            Some(path) => Kubeconfig::read_from(path)
                .with_context(|| format!("read the kubeconfig {}", path.display()))?,
            None => Kubeconfig::read()
                .context("find a cluster: give --kubeconfig FILE, or run in a Pod")?,
        };
        let options = KubeConfigOptions {
            context: self.context.clone(),
            ..KubeConfigOptions::default()
        };
        let named = self.names_proxy(&kubeconfig);
        let config = Config::from_custom_kubeconfig(kubeconfig, &options).await;
        let mut config = config.context("make a client of the kubeconfig")?;
        if !named {
            // kube takes one from the environment, whatever NO_PROXY says.
            config.proxy_url = None;
        }
        Ok(config)
    }

    /// Whether the kubeconfig itself says that the cluster is behind a proxy.
    fn names_proxy(&self, kubeconfig: &Kubeconfig) -> bool {
        let current = self
            .context
            .as_ref()
            .or(kubeconfig.current_context.as_ref());
        let context = kubeconfig
            .contexts
            .iter()
            .find(|one| Some(&one.name) == current);
        let cluster = context
            .and_then(|context| context.context.as_ref())
            .map(|one| &one.cluster);
        let clusters = &mut kubeconfig.clusters.iter();
        let cluster = clusters.find(|one| Some(&one.name) == cluster);
        cluster
            .and_then(|one| one.cluster.as_ref())
            .is_some_and(|cluster| cluster.proxy_url.is_some())
    }
}
