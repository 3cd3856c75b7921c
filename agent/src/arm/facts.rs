//! What the agent says of its cluster when it lists: the version of Kubernetes and the number of nodes.
//! What it may not see is left unsaid.

use std::time::Duration;

use gitmoor_arm::{Client, ClusterFacts, jittered};
use k8s_openapi::api::core::v1::Node;
use kube::{Api, api::ListParams};
use tokio::time::{sleep, timeout};

/// How often it looks.
const LOOK_EVERY: Duration = Duration::from_mins(10);

/// How long the API server may take.
const TIMEOUT: Duration = Duration::from_secs(30);

/// Says what there is, for ever.
pub(super) async fn tell(arm: &Client, kubernetes: &kube::Client) {
    loop {
        let kubernetes_version = asked("the version", kubernetes.apiserver_version()).await;
        arm.describe(ClusterFacts {
            // Azure writes it so.
            kubernetes_version: kubernetes_version
                .map(|version| version.git_version.trim_start_matches('v').to_owned()),
            nodes: asked("the number of nodes", nodes(kubernetes))
                .await
                .flatten(),
        });
        sleep(jittered(LOOK_EVERY)).await;
    }
}

async fn asked<T>(what: &str, answer: impl Future<Output = kube::Result<T>>) -> Option<T> {
    match timeout(TIMEOUT, answer).await {
        Ok(Ok(answer)) => Some(answer),
        Ok(Err(error)) => {
            let error = &error as &dyn std::error::Error;
            tracing::debug!(error, "ask the API server for {what} of the cluster");
            None
        }
        Err(_) => None,
    }
}

/// How many nodes there are: those on a page of one, and those that the server says remain.
async fn nodes(kubernetes: &kube::Client) -> kube::Result<Option<u64>> {
    let nodes: Api<Node> = Api::all(kubernetes.clone());
    let page = nodes.list_metadata(&ListParams::default().limit(1)).await?;
    let here = u64::try_from(page.items.len()).unwrap_or_default();
    let metadata = page.metadata;
    let is_all = metadata.continue_.is_none_or(|rest| rest.is_empty());
    let remain = metadata.remaining_item_count.or(is_all.then_some(0));
    Ok(remain.and_then(|remain| Some(here + u64::try_from(remain).ok()?)))
}
