//! The agent's own credential, where its settings name an enrolment token: exchanged for the token
//! and kept in a Secret of its namespace, with the key that opens what the portal seals to it. The
//! key is written down before the token is used, so that no death in between loses either.

use std::{collections::BTreeMap, path::Path, time::Duration};

use gitmoor_arm::{Enrolment, Error, Identity, OpeningKey, SealingError, Secret, Settings};
use k8s_openapi::{ByteString, api::core::v1::Secret as KubernetesSecret};
use kube::{
    Api, Client,
    api::{Patch, PatchParams},
};
use serde_json::json;
use sha2::{Digest as _, Sha256};
use tokio::time::sleep;

use crate::{backoff::Backoff, names::FIELD_MANAGER};

/// The Secret. The rights of the installation name it.
const NAME: &str = "gitmoor-agent";

/// What is kept in it.
const KEY: &str = "openingKey";
const TENANT: &str = "tenantId";
const CLIENT: &str = "clientId";
const CLIENT_SECRET: &str = "clientSecret";
/// For which cluster and portal, and by which token, of which the SHA-256 alone is kept.
const PURPOSE: &str = "purpose";
const TOKEN: &str = "enrolledWith";

/// How often the file with the token is looked at.
const LOOK_EVERY: Duration = Duration::from_secs(30);

/// The waits after failures.
const FIRST_WAIT: Duration = Duration::from_secs(2);
const LONGEST_WAIT: Duration = Duration::from_mins(2);

#[derive(Debug, thiserror::Error)]
enum EnrolError {
    #[error("reading or writing the agent's own Secret `{NAME}`")]
    Kubernetes(#[from] kube::Error),
    #[error(transparent)]
    Arm(#[from] Error),
    #[error("the key in the agent's own Secret `{NAME}`; delete the Secret to enrol anew")]
    Key(#[from] SealingError),
}

/// Who the agent is; tries until it knows.
pub(crate) async fn identity(
    arm: &Settings,
    enrolment: &Enrolment,
    namespace: &str,
    client: &Client,
) -> Identity {
    let mut backoff = Backoff::new(FIRST_WAIT, LONGEST_WAIT);
    loop {
        match attempt(arm, enrolment, namespace, client).await {
            Ok(identity) => return identity,
            Err(error) => tracing::warn!(
                error = &error as &dyn std::error::Error,
                "enrol the agent; a portal's `gitmoor portal enrol` makes a token"
            ),
        }
        sleep(backoff.wait()).await;
    }
}

/// Waits until there is another token in the file.
pub(crate) async fn changed(enrolment: &Enrolment) {
    let first = token(&enrolment.token_file).await.ok();
    loop {
        sleep(LOOK_EVERY).await;
        // A file that is gone is no other token: it is used up.
        if let Ok(now) = token(&enrolment.token_file).await
            && Some(&now.1) != first.as_ref().map(|(_, digest)| digest)
        {
            return;
        }
    }
}

async fn attempt(
    arm: &Settings,
    enrolment: &Enrolment,
    namespace: &str,
    client: &Client,
) -> Result<Identity, EnrolError> {
    let secrets: Api<KubernetesSecret> = Api::namespaced(client.clone(), namespace);
    let portal = arm.data_plane.as_ref().map_or("", |portal| portal.as_str());
    let purpose = format!("{} at {portal}", arm.cluster_id);
    let kept = secrets.get_opt(NAME).await?.and_then(|secret| secret.data);
    let kept: BTreeMap<String, String> = kept
        .into_iter()
        .flatten()
        .filter_map(|(name, value)| Some((name, String::from_utf8(value.0).ok()?)))
        .collect();
    let value = |name: &str| kept.get(name).map(String::as_str);
    let token = token(&enrolment.token_file).await;
    let is_same_token = match &token {
        Ok((_, digest)) => value(TOKEN) == Some(digest),
        // It was used, and is of no use to anyone any more.
        Err(_) => value(CLIENT).is_some(),
    };
    let is_ours = is_same_token && value(PURPOSE) == Some(purpose.as_str());
    let kept_key = value(KEY).filter(|_| is_ours);
    if let (Some(key), Some(tenant), Some(client), Some(secret)) =
        (kept_key, value(TENANT), value(CLIENT), value(CLIENT_SECRET))
    {
        return Ok(Identity {
            tenant_id: tenant.to_owned(),
            client_id: client.to_owned(),
            client_secret: secret.into(),
            key: OpeningKey::from_secret(&key.into())?,
        });
    }
    let (token, digest) = token?;
    let key = match kept_key {
        Some(key) => OpeningKey::from_secret(&key.into())?,
        None => OpeningKey::generate(),
    };
    let write = async |data: &BTreeMap<&str, &str>| {
        let data: BTreeMap<_, _> = data
            .iter()
            .map(|(name, value)| (*name, ByteString(value.as_bytes().to_vec())))
            .collect();
        // Not as `stringData`: what is not in that stays.
        let secret = json!({
            "apiVersion": "v1",
            "kind": "Secret",
            "metadata": {"name": NAME, "namespace": namespace},
            "data": data,
        });
        let parameters = PatchParams::apply(FIELD_MANAGER).force();
        secrets
            .patch(NAME, &parameters, &Patch::Apply(secret))
            .await
            .map(drop)
    };
    let text = key.to_secret();
    let mut data = BTreeMap::from([(KEY, text.expose()), (PURPOSE, &purpose), (TOKEN, &digest)]);
    write(&data).await?;
    let identity = Identity::enrol(arm, &token, key).await?;
    data.insert(TENANT, &identity.tenant_id);
    data.insert(CLIENT, &identity.client_id);
    data.insert(CLIENT_SECRET, identity.client_secret.expose());
    write(&data).await?;
    tracing::info!(cluster = %arm.cluster_id, portal, "the agent is enrolled");
    Ok(identity)
}

/// The token, and its SHA-256 in hexadecimal digits.
async fn token(file: &Path) -> Result<(Secret, String), Error> {
    let token = Identity::token(file).await?;
    let digest = Sha256::digest(token.expose().as_bytes());
    let digest = digest.iter().map(|byte| format!("{byte:02x}")).collect();
    Ok((token, digest))
}
