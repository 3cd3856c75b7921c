//! Principals in the store: made, listed, given rights, deleted, and looked up when one calls.

mod endings;

use std::collections::BTreeSet;

use gitmoor_arm::{ClusterId, Timestamp};
use serde_json::json;
use sqlx::{AnyConnection, Row as _, any::AnyRow};
use uuid::Uuid;

use super::{
    Store, StoreError,
    audit::{Action, By, Change},
    roles::RoleRecord,
    rows::{broken, timestamp},
};
use crate::identity::{Assignment, Certificate, ClientSecret, OpenId, Principal, Role, Scope};

/// The kind of credential that is the digest of a secret.
pub(super) const SECRET: &str = "secret";
pub(super) const CERTIFICATE: &str = "certificate";

/// That a person is who an OpenID provider says.
const SUBJECT: &str = "subject";

impl Store {
    /// Makes a person or program of that `name`, with `role` in `scope` and a secret. Several may
    /// have one name.
    ///
    /// # Errors
    /// When the database cannot be written.
    pub async fn create_principal(
        &self,
        name: &str,
        scope: &Scope,
        role: Role,
    ) -> Result<ClientSecret, StoreError> {
        let (secret, digest) = ClientSecret::generate(Uuid::new_v4());
        let proof = (SECRET, digest.as_bytes());
        self.create(secret.id(), name, scope, role, proof, &By::command_line())
            .await?;
        Ok(secret)
    }

    /// Makes the agent of a cluster, named for the cluster, with a secret.
    ///
    /// # Errors
    /// When the database cannot be written.
    pub async fn create_agent(&self, cluster: &ClusterId) -> Result<ClientSecret, StoreError> {
        self.create_principal(cluster.name(), &cluster.into(), Role::Agent)
            .await
    }

    /// Makes a person or program that proves itself by a certificate's key; its id.
    ///
    /// # Errors
    /// When the database cannot be written.
    pub async fn create_principal_with_certificate(
        &self,
        name: &str,
        scope: &Scope,
        role: Role,
        certificate: &Certificate,
    ) -> Result<Uuid, StoreError> {
        let id = Uuid::new_v4();
        let proof = (CERTIFICATE, certificate.der());
        self.create(id, name, scope, role, proof, &By::command_line())
            .await?;
        Ok(id)
    }

    /// Makes a person who signs in with an OpenID provider, which calls them `subject`: their id, or
    /// nothing when someone else is who that is.
    ///
    /// # Errors
    /// When the database cannot be written.
    pub async fn create_person(
        &self,
        name: &str,
        scope: &Scope,
        role: Role,
        provider: &OpenId,
        subject: &str,
    ) -> Result<Option<Uuid>, StoreError> {
        let id = Uuid::new_v4();
        let digest = provider.digest(subject);
        let proof = (SUBJECT, digest.as_slice());
        let made = self
            .create(id, name, scope, role, proof, &By::command_line())
            .await?;
        Ok(made.then_some(id))
    }

    /// Who it is that an OpenID provider calls so.
    pub(crate) async fn person(&self, digest: &[u8]) -> Result<Option<Uuid>, StoreError> {
        let found: Option<String> =
            sqlx::query_scalar("SELECT principal FROM person WHERE digest = $1")
                .bind(digest)
                .fetch_optional(&self.database.readers)
                .await?;
        found
            .map(|id| id.parse())
            .transpose()
            .map_err(|error: uuid::Error| broken("principal", error))
    }

    /// The principals that are people, or the one of that id if it is: whoever signs in with an OpenID
    /// provider, or has nothing but links.
    pub(crate) async fn people(&self, only: Option<Uuid>) -> Result<BTreeSet<Uuid>, StoreError> {
        let rows = sqlx::query(
            "SELECT p.id FROM principal p WHERE ($1 = '' OR p.id = $1) \
             AND (p.id IN (SELECT principal FROM person) \
                  OR NOT EXISTS (SELECT 1 FROM credential c WHERE c.principal = p.id))",
        )
        .bind(only.map(|id| id.to_string()).unwrap_or_default())
        .fetch_all(&self.database.readers)
        .await?;
        rows.iter().map(read_id).collect()
    }

    /// Whether it is made: one who is someone else already is not.
    async fn create(
        &self,
        id: Uuid,
        name: &str,
        scope: &Scope,
        role: Role,
        proof: (&str, &[u8]),
        by: &By,
    ) -> Result<bool, StoreError> {
        let mut transaction = self.database.writer.begin().await?;
        insert(&mut transaction, id, name).await?;
        match proof {
            (SUBJECT, digest) => {
                let done = sqlx::query(
                    "INSERT INTO person (digest, principal) VALUES ($1, $2) ON CONFLICT DO NOTHING",
                )
                .bind(digest)
                .bind(id.to_string())
                .execute(&mut *transaction)
                .await?;
                if done.rows_affected() == 0 {
                    return Ok(false);
                }
            }
            proof => drop(prove(&mut transaction, id, proof).await?),
        }
        assign(&mut transaction, id, role, scope).await?;
        let change = Change {
            by,
            action: Action::CreatePrincipal,
            resource: &resource(&id.to_string()),
            before: None,
            after: Some(json!({
                "name": name, "role": role.as_str(), "scope": scope.as_str(), "proof": proof.0,
            })),
        };
        change.record(&self.sealing, &mut transaction).await?;
        transaction.commit().await?;
        Ok(true)
    }

    /// All principals, by name.
    ///
    /// # Errors
    /// When the database cannot be read.
    pub async fn principals(&self) -> Result<Vec<Principal>, StoreError> {
        let rows = sqlx::query(concat!(
            "SELECT p.id, p.name, p.created_at, r.role, r.scope FROM principal p ",
            "LEFT JOIN role_assignment r ON r.principal = p.id ",
            "ORDER BY p.name, p.created_at, p.id, r.role, r.scope"
        ))
        .fetch_all(&self.database.readers)
        .await?;
        let mut principals: Vec<Principal> = Vec::new();
        for row in &rows {
            let id = read_id(row)?;
            if principals.last().is_none_or(|last| last.id != id) {
                principals.push(read(row, id)?);
            }
            if let Some(last) = principals.last_mut() {
                last.assignments.extend(read_assignment(row)?);
            }
        }
        Ok(principals)
    }

    /// The principal of that id.
    pub(crate) async fn principal(&self, id: Uuid) -> Result<Option<Principal>, StoreError> {
        find(&mut *self.database.readers.acquire().await?, id).await
    }

    /// Deletes a principal with its credentials and rights, from the next request on; whether there
    /// was one of that id.
    ///
    /// # Errors
    /// When the database cannot be written.
    pub async fn delete_principal(&self, id: Uuid) -> Result<bool, StoreError> {
        let mut transaction = self.database.begin("principals").await?;
        let by = By::command_line();
        let was_there = self.end(&mut transaction, id, &by).await?;
        transaction.commit().await?;
        Ok(was_there)
    }

    async fn end(
        &self,
        connection: &mut AnyConnection,
        id: Uuid,
        by: &By,
    ) -> Result<bool, StoreError> {
        let Some(old) = find(connection, id).await? else {
            return Ok(false);
        };
        sqlx::query("DELETE FROM principal WHERE id = $1")
            .bind(id.to_string())
            .execute(&mut *connection)
            .await?;
        let roles: Vec<String> = old.assignments.iter().map(ToString::to_string).collect();
        let change = Change {
            by,
            action: Action::DeletePrincipal,
            resource: &resource(&id.to_string()),
            before: Some(json!({"name": old.name, "roles": roles})),
            after: None,
        };
        change.record(&self.sealing, connection).await?;
        Ok(true)
    }
}

pub(super) async fn find(
    connection: &mut AnyConnection,
    id: Uuid,
) -> Result<Option<Principal>, StoreError> {
    let rows = sqlx::query(
        "SELECT p.id, p.name, p.created_at, r.role, r.scope FROM principal p \
         LEFT JOIN role_assignment r ON r.principal = p.id WHERE p.id = $1",
    )
    .bind(id.to_string())
    .fetch_all(connection)
    .await?;
    let Some(first) = rows.first() else {
        return Ok(None);
    };
    let mut principal = read(first, id)?;
    for row in &rows {
        principal.assignments.extend(read_assignment(row)?);
    }
    Ok(Some(principal))
}

/// What the audit log calls a principal.
pub(super) fn resource(id: &str) -> String {
    format!("/providers/Gitmoor.Portal/principals/{id}")
}

/// Makes a principal that has nothing yet.
pub(super) async fn insert(
    connection: &mut AnyConnection,
    id: Uuid,
    name: &str,
) -> Result<(), sqlx::Error> {
    sqlx::query("INSERT INTO principal (id, name, created_at) VALUES ($1, $2, $3)")
        .bind(id.to_string())
        .bind(name)
        .bind(Timestamp::now().to_string())
        .execute(connection)
        .await
        .map(drop)
}

/// Takes the secrets of a principal away.
pub(super) async fn forget_secrets(
    connection: &mut AnyConnection,
    principal: Uuid,
) -> Result<(), sqlx::Error> {
    sqlx::query("DELETE FROM credential WHERE principal = $1 AND kind = $2")
        .bind(principal.to_string())
        .bind(SECRET)
        .execute(connection)
        .await
        .map(drop)
}

/// Gives a principal a credential, of a kind and what is kept of it; the credential's id.
pub(super) async fn prove(
    connection: &mut AnyConnection,
    principal: Uuid,
    (kind, value): (&str, &[u8]),
) -> Result<Uuid, sqlx::Error> {
    let id = Uuid::new_v4();
    sqlx::query(
        "INSERT INTO credential (id, principal, kind, value, created_at) \
         VALUES ($1, $2, $3, $4, $5)",
    )
    .bind(id.to_string())
    .bind(principal.to_string())
    .bind(kind)
    .bind(value)
    .bind(Timestamp::now().to_string())
    .execute(connection)
    .await?;
    Ok(id)
}

/// Gives a new principal its first role.
pub(super) async fn assign(
    connection: &mut AnyConnection,
    principal: Uuid,
    role: Role,
    scope: &Scope,
) -> Result<(), sqlx::Error> {
    let record = RoleRecord {
        id: Uuid::new_v4(),
        principal,
        role,
        scope: scope.clone(),
    };
    record.insert(connection).await
}

fn read_id(row: &AnyRow) -> Result<Uuid, StoreError> {
    let id: &str = row.try_get("id")?;
    id.parse().map_err(|error: uuid::Error| broken("id", error))
}

fn read(row: &AnyRow, id: Uuid) -> Result<Principal, StoreError> {
    Ok(Principal {
        id,
        name: row.try_get("name")?,
        assignments: Vec::new(),
        created_at: timestamp(row, "created_at")?,
    })
}

fn read_assignment(row: &AnyRow) -> Result<Option<Assignment>, StoreError> {
    let Some(role) = row.try_get::<Option<&str>, _>("role")? else {
        return Ok(None);
    };
    let scope: &str = row.try_get("scope")?;
    Ok(Some(Assignment {
        role: role.parse().map_err(|error| broken("role", error))?,
        scope: scope.parse().map_err(|error| broken("scope", error))?,
    }))
}
