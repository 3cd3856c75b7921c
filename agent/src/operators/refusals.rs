//! The status of configurations that get no operator, which nobody else would write. Written once,
//! and taken back when the configuration is admitted after all.

use std::{collections::BTreeMap, sync::Arc, time::Duration};

use gitmoor_crds::{
    SourceControlConfiguration,
    conditions::{READY, STALLED},
    reasons::NOT_ALLOWED,
};
use k8s_openapi::{
    apimachinery::pkg::apis::meta::v1::{Condition, Time},
    jiff::Timestamp,
};
use kube::{
    Api, Client, Resource as _, ResourceExt as _,
    api::{Patch, PatchParams},
};
use serde_json::{Value, json};
use tokio::time::sleep;
use tokio_util::sync::CancellationToken;

use crate::{
    admission::Admission,
    configurations::{Configurations, Key},
    names::FIELD_MANAGER,
    operators::release::{release, waits},
};

/// When to try again what failed.
const RETRY: Duration = Duration::from_secs(30);

/// Generation of a configuration, and why it is refused; nothing: it no longer is.
type Written = (Option<i64>, Option<String>);

/// Writes until it is cancelled.
pub(crate) async fn write_refusals(
    client: Client,
    admission: &Admission,
    configurations: &Configurations,
    cancel: CancellationToken,
) {
    let mut changes = configurations.changes();
    // The watch tells of our own writes a little later; until then this does.
    let mut written: BTreeMap<Key, Written> = BTreeMap::new();
    loop {
        let all = configurations.all();
        written.retain(|key, _| all.contains_key(key));
        let mut failed = false;
        for (key, configuration) in &all {
            let refusal = admission.admit(configuration).err().map(|r| r.to_string());
            let let_go = refusal.is_some() && waits(configuration);
            if !let_go && stands(configuration, refusal.as_deref()) {
                continue;
            }
            let now = (configuration.metadata.generation, refusal);
            if written.get(key) == Some(&now) {
                continue;
            }
            let outcome = if let_go {
                release(&client, &key.namespace, &key.name).await
            } else {
                write(&client, configuration, now.1.as_deref()).await
            };
            match outcome {
                Ok(()) => {
                    written.insert(key.clone(), now);
                }
                Err(error) => {
                    failed = true;
                    tracing::warn!(
                        configuration = %key,
                        error = &error as &dyn std::error::Error,
                        "write why a configuration is refused; trying again"
                    );
                }
            }
        }
        tokio::select! {
            () = cancel.cancelled() => return,
            told = changes.changed() => if told.is_err() { return },
            () = sleep(RETRY), if failed => {}
        }
    }
}

/// Whether the status says so already.
fn stands(configuration: &SourceControlConfiguration, refusal: Option<&str>) -> bool {
    let refused = condition(configuration, STALLED).filter(|one| one.reason == NOT_ALLOWED);
    match (refused, refusal) {
        (None, None) => true,
        (Some(condition), Some(refusal)) => {
            condition.message == refusal
                && condition.observed_generation == configuration.metadata.generation
        }
        _ => false,
    }
}

fn condition<'a>(
    configuration: &'a SourceControlConfiguration,
    kind: &str,
) -> Option<&'a Condition> {
    let status = configuration.status.as_ref()?;
    status.conditions.iter().find(|one| one.type_ == kind)
}

async fn write(
    client: &Client,
    configuration: &Arc<SourceControlConfiguration>,
    refusal: Option<&str>,
) -> Result<(), kube::Error> {
    let namespace = configuration.namespace().unwrap_or_default();
    let name = configuration.name_any();
    let api: Api<SourceControlConfiguration> = Api::namespaced(client.clone(), &namespace);
    // The server takes away what we applied before and do not name now.
    let status = refusal.map_or_else(|| json!({}), |refusal| status(configuration, refusal));
    let patch = json!({
        "apiVersion": SourceControlConfiguration::api_version(&()),
        "kind": SourceControlConfiguration::kind(&()),
        "metadata": {"name": name, "uid": configuration.uid()},
        "status": status,
    });
    let parameters = PatchParams::apply(FIELD_MANAGER).force();
    match api
        .patch_status(&name, &parameters, &Patch::Apply(patch))
        .await
    {
        // Deleted since, or another one by now.
        Err(kube::Error::Api(status)) if matches!(status.code, 404 | 409) => Ok(()),
        Err(error) => Err(error),
        Ok(_) => {
            tracing::info!(configuration = %name, namespace, refusal, "the admission changed");
            Ok(())
        }
    }
}

fn status(configuration: &SourceControlConfiguration, refusal: &str) -> Value {
    let now = Time(Timestamp::now());
    let state = |kind: &str, value: &str| {
        let since = condition(configuration, kind)
            .filter(|one| one.status == value)
            .map_or_else(|| now.clone(), |one| one.last_transition_time.clone());
        Condition {
            type_: kind.to_owned(),
            status: value.to_owned(),
            reason: NOT_ALLOWED.to_owned(),
            message: refusal.to_owned(),
            observed_generation: configuration.metadata.generation,
            last_transition_time: since,
        }
    };
    json!({
        "observedGeneration": configuration.metadata.generation,
        "conditions": [state(READY, "False"), state(STALLED, "True")],
    })
}
