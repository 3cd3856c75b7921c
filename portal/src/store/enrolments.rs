//! Enrolment: a cluster is registered, and a token that is good once becomes its agent's credential.

use std::{collections::BTreeMap, time::Duration};

use base64::{Engine as _, prelude::BASE64_URL_SAFE_NO_PAD};
use gitmoor_arm::{ClusterId, SealingKey, Secret, Timestamp};
use serde_json::json;
use sqlx::{AnyConnection, Row as _};
use uuid::Uuid;

use super::{
    ClusterWrite, Condition, GroupRecord, Store, StoreError,
    audit::{Action, By, Change},
    principals,
    rows::broken,
};
use crate::{
    encryption::random,
    identity::{ClientSecret, Digest, Role, Scope},
};

/// What a token begins with, so that scanners for leaked secrets can tell it.
const PREFIX: &str = "gitmoor-enrolment.";

/// How long a token is good.
const LIFETIME: Duration = Duration::from_hours(24);

impl Store {
    /// Registers a cluster, with its group, where it is not yet there, and makes a token by which its
    /// agent gets a credential, once, within a day. Tokens of the cluster that nobody used are good
    /// no longer.
    ///
    /// # Errors
    /// When the database cannot be written.
    pub async fn create_enrolment(
        &self,
        cluster: &ClusterId,
        location: &str,
    ) -> Result<Secret, StoreError> {
        let by = By::command_line();
        self.register(cluster, location, &by).await?;
        let text = BASE64_URL_SAFE_NO_PAD.encode(random::<32>()?);
        let token: Secret = format!("{PREFIX}{text}").into();
        let mut transaction = self.database.begin("principals").await?;
        sqlx::query(
            "DELETE FROM enrolment WHERE expires_at < $1 \
             OR (lower(cluster) = lower($2) AND principal IS NULL)",
        )
        .bind(Timestamp::now().to_string())
        .bind(cluster.as_str())
        .execute(&mut *transaction)
        .await?;
        sqlx::query("INSERT INTO enrolment (digest, cluster, expires_at) VALUES ($1, $2, $3)")
            .bind(Digest::of(token.expose()).as_bytes())
            .bind(cluster.as_str())
            .bind(Timestamp(Timestamp::now().0 + LIFETIME).to_string())
            .execute(&mut *transaction)
            .await?;
        let change = Change {
            by: &by,
            action: Action::CreateEnrolment,
            resource: cluster.as_str(),
            before: None,
            after: None,
        };
        change.record(&self.sealing, &mut transaction).await?;
        transaction.commit().await?;
        Ok(token)
    }

    async fn register(
        &self,
        cluster: &ClusterId,
        location: &str,
        by: &By,
    ) -> Result<(), StoreError> {
        if self.cluster(cluster).await?.is_some() {
            return Ok(());
        }
        let scope = Scope::from(cluster).group();
        if self.group(&scope).await?.is_none() {
            let group = GroupRecord {
                id: scope,
                location: location.to_owned(),
                tags: BTreeMap::new(),
            };
            self.put_group(group, by, &Condition::default()).await?;
        }
        let body = json!({
            "identity": "SystemAssigned",
            "kind": null,
            "properties": {"agentPublicKeyCertificate": ""},
        });
        let only_new = Condition {
            if_none_match: Some(vec!["*".to_owned()]),
            ..Condition::default()
        };
        let location = location.to_owned();
        let written = self
            .put_cluster(cluster, location, BTreeMap::new(), body, by, &only_new)
            .await?;
        match written {
            // Someone else registered it in between.
            ClusterWrite::Created(_) | ClusterWrite::Condition => Ok(()),
            ClusterWrite::Replaced(_) | ClusterWrite::NoGroup | ClusterWrite::Moved(_) => {
                Err(broken("cluster", "the group was deleted in between"))
            }
        }
    }

    /// Uses a token up: the credential of the cluster's agent, whose secrets are sealed to `key` from
    /// now on, and instead of those that the cluster's agents had before. The same key gets another one
    /// in its place while the token lasts, if an answer was lost. Nothing when the token is not good.
    pub(crate) async fn enrol(
        &self,
        token: &str,
        key: &SealingKey,
    ) -> Result<Option<(ClusterId, ClientSecret)>, StoreError> {
        let digest = Digest::of(token);
        // Whoever has no token must not keep others from writing.
        let known = sqlx::query("SELECT 1 FROM enrolment WHERE digest = $1")
            .bind(digest.as_bytes())
            .fetch_optional(&self.database.readers)
            .await?;
        if known.is_none() {
            return Ok(None);
        }
        let by = By::named("an enrolment token");
        let mut transaction = self.database.begin("principals").await?;
        let row = sqlx::query(
            "SELECT e.cluster, e.principal, p.sealing_key FROM enrolment e \
             LEFT JOIN principal p ON p.id = e.principal \
             WHERE e.digest = $1 AND e.expires_at > $2",
        )
        .bind(digest.as_bytes())
        .bind(Timestamp::now().to_string())
        .fetch_optional(&mut *transaction)
        .await?;
        let Some(row) = row else { return Ok(None) };
        let cluster: &str = row.try_get("cluster")?;
        let cluster: ClusterId = cluster.parse().map_err(|error| broken("cluster", error))?;
        let principal: Option<&str> = row.try_get("principal")?;
        let used_with: Option<&str> = row.try_get("sealing_key")?;
        let secret = match principal {
            Some(_) if used_with != Some(&key.to_string()) => return Ok(None),
            Some(principal) => {
                let id = principal.parse();
                let id = id.map_err(|error: uuid::Error| broken("principal", error))?;
                let (secret, digest) = ClientSecret::generate(id);
                let proof = (principals::SECRET, digest.as_bytes());
                principals::forget_secrets(&mut transaction, id).await?;
                principals::prove(&mut transaction, id, proof).await?;
                let change = Change {
                    by: &by,
                    action: Action::ReplaceSecret,
                    resource: &principals::resource(principal),
                    before: None,
                    after: None,
                };
                change.record(&self.sealing, &mut transaction).await?;
                secret
            }
            None => {
                let scope = cluster.as_str().to_ascii_lowercase();
                self.withdraw_all(&mut transaction, &scope, Some(Role::Agent), &by)
                    .await?;
                let secret = self.first(&mut transaction, &cluster, key, &by).await?;
                sqlx::query("UPDATE enrolment SET principal = $1 WHERE digest = $2")
                    .bind(secret.id().to_string())
                    .bind(digest.as_bytes())
                    .execute(&mut *transaction)
                    .await?;
                secret
            }
        };
        transaction.commit().await?;
        Ok(Some((cluster, secret)))
    }

    async fn first(
        &self,
        connection: &mut AnyConnection,
        cluster: &ClusterId,
        key: &SealingKey,
        by: &By,
    ) -> Result<ClientSecret, StoreError> {
        let (secret, digest) = ClientSecret::generate(Uuid::new_v4());
        let id = secret.id();
        principals::insert(connection, id, cluster.name()).await?;
        let proof = (principals::SECRET, digest.as_bytes());
        principals::prove(connection, id, proof).await?;
        let text = id.to_string();
        sqlx::query("UPDATE principal SET sealing_key = $1 WHERE id = $2")
            .bind(key.to_string())
            .bind(&text)
            .execute(&mut *connection)
            .await?;
        principals::assign(connection, id, Role::Agent, &cluster.into()).await?;
        let change = Change {
            by,
            action: Action::CreatePrincipal,
            resource: &principals::resource(&text),
            before: None,
            after: Some(json!({
                "name": cluster.name(), "role": Role::Agent.as_str(), "scope": cluster.as_str(),
                "proof": principals::SECRET, "sealingKey": key.to_string(),
            })),
        };
        change.record(&self.sealing, connection).await?;
        Ok(secret)
    }

    /// The key that secrets for this agent are to be sealed to, if it gave one.
    pub(crate) async fn sealing_key(
        &self,
        principal: Uuid,
    ) -> Result<Option<SealingKey>, StoreError> {
        let row = sqlx::query("SELECT sealing_key FROM principal WHERE id = $1")
            .bind(principal.to_string())
            .fetch_optional(&self.database.readers)
            .await?;
        let Some(row) = row else { return Ok(None) };
        let text: Option<&str> = row.try_get("sealing_key")?;
        text.map(|text| text.parse().map_err(|error| broken("sealing_key", error)))
            .transpose()
    }
}

#[cfg(test)]
mod tests {
    use gitmoor_arm::OpeningKey;

    use crate::store::{
        database::Engine,
        tests::{each_engine, open},
    };

    #[tokio::test]
    async fn who_guesses_tokens_and_codes_does_not_wait_for_those_who_write() {
        for place in each_engine() {
            let store = open(&place).await;
            let key = OpeningKey::generate().public().to_string().parse().unwrap();
            // With SQLite nobody else writes until the first ends.
            let mut held = vec![store.database.begin("principals").await.unwrap()];
            if store.database.engine == Engine::Postgres {
                held.push(store.database.begin("sessions").await.unwrap());
            }
            let enrolled = store.enrol("gitmoor-enrolment.guessed", &key).await;
            assert!(enrolled.unwrap().is_none());
            let redeemed = store.redeem_sign_in_link("guessed").await;
            assert!(redeemed.unwrap().is_none());
            drop(held);
        }
    }
}
