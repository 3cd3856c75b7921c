//! Lets go of configurations that are being deleted and wait for an operator to prune, where no
//! operator will: else they, and their namespace with them, would never be gone.

use gitmoor_crds::SourceControlConfiguration;
use kube::{
    Api, Client,
    api::{Patch, PatchParams},
};
use serde_json::json;

/// The finalizer by which an operator holds back the deletion of a configuration with
/// `pruneOnDelete` until it has pruned.
pub(super) const FINALIZER: &str = "gitmoor.io/prune";

/// Whether a configuration waits for an operator.
pub(super) fn waits(configuration: &SourceControlConfiguration) -> bool {
    let finalizers = configuration.metadata.finalizers.iter().flatten();
    configuration.metadata.deletion_timestamp.is_some()
        && finalizers.into_iter().any(|one| one == FINALIZER)
}

/// Takes the finalizer off a configuration that waits. What the repository made stays.
pub(super) async fn release(
    client: &Client,
    namespace: &str,
    name: &str,
) -> Result<(), kube::Error> {
    let api: Api<SourceControlConfiguration> = Api::namespaced(client.clone(), namespace);
    let Some(now) = api.get_opt(name).await?.filter(waits) else {
        return Ok(());
    };
    let others = now.metadata.finalizers.iter().flatten();
    let others: Vec<&String> = others.filter(|one| *one != FINALIZER).collect();
    let patch = json!({"metadata": {
        "finalizers": others,
        // Others may add and remove theirs at the same moment.
        "resourceVersion": now.metadata.resource_version,
    }});
    api.patch(name, &PatchParams::default(), &Patch::Merge(patch))
        .await?;
    tracing::info!(
        namespace,
        configuration = name,
        "let go without pruning: no operator can"
    );
    Ok(())
}
