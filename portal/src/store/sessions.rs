//! Who is signed in to the page, and the links that sign someone in once. What a browser holds is
//! random; kept is its digest.

use std::time::Duration;

use base64::{Engine as _, prelude::BASE64_URL_SAFE_NO_PAD};
use gitmoor_arm::{Secret, Timestamp};
use serde_json::json;
use sqlx::Row as _;
use uuid::Uuid;

use super::{
    Store, StoreError,
    audit::{Action, By, Change},
    changes::News,
    principals,
    rows::broken,
};
use crate::{
    encryption::random,
    identity::{Digest, Principal, Role, Scope},
};

/// How long someone stays signed in, whatever they do: a working day.
pub(crate) const SESSION_LIFETIME: Duration = Duration::from_hours(12);

/// How long a link is good.
const LINK_LIFETIME: Duration = Duration::from_hours(24);

/// What the first one to sign in is called.
const ADMINISTRATOR: &str = "administrator";

impl Store {
    /// Signs a principal in; what its browser is to hold.
    pub(crate) async fn begin_session(&self, principal: Uuid) -> Result<Secret, StoreError> {
        let (secret, digest) = generate()?;
        let now = Timestamp::now();
        let mut transaction = self.database.begin("sessions").await?;
        sqlx::query("DELETE FROM session WHERE expires_at < $1")
            .bind(now.to_string())
            .execute(&mut *transaction)
            .await?;
        sqlx::query(
            "INSERT INTO session (digest, principal, created_at, expires_at) \
             VALUES ($1, $2, $3, $4)",
        )
        .bind(digest.as_bytes())
        .bind(principal.to_string())
        .bind(now.to_string())
        .bind(Timestamp(now.0 + SESSION_LIFETIME).to_string())
        .execute(&mut *transaction)
        .await?;
        transaction.commit().await?;
        Ok(secret)
    }

    /// Who is signed in with this, if they still are.
    pub(crate) async fn session(&self, secret: &str) -> Result<Option<Principal>, StoreError> {
        let row =
            sqlx::query("SELECT principal FROM session WHERE digest = $1 AND expires_at > $2")
                .bind(Digest::of(secret).as_bytes())
                .bind(Timestamp::now().to_string())
                .fetch_optional(&self.database.readers)
                .await?;
        let Some(row) = row else { return Ok(None) };
        self.principal(read_id(row.try_get("principal")?)?).await
    }

    /// Signs out.
    pub(crate) async fn end_session(&self, secret: &str) -> Result<(), StoreError> {
        sqlx::query("DELETE FROM session WHERE digest = $1")
            .bind(Digest::of(secret).as_bytes())
            .execute(&self.database.writer)
            .await?;
        self.changes.show(News::SignedOut);
        Ok(())
    }

    /// The code of a link that signs a principal in once, within a day.
    ///
    /// # Errors
    /// When the database cannot be written, or there is no such principal.
    pub async fn create_sign_in_link(&self, principal: Uuid) -> Result<Secret, StoreError> {
        let (code, digest) = generate()?;
        let principal = principal.to_string();
        let mut transaction = self.database.begin("sessions").await?;
        insert_link(&mut transaction, &digest, Some(&principal)).await?;
        let change = Change {
            by: &By::command_line(),
            action: Action::CreateSignInLink,
            resource: &principals::resource(&principal),
            before: None,
            after: None,
        };
        change.record(&self.sealing, &mut transaction).await?;
        transaction.commit().await?;
        Ok(code)
    }

    /// The code of a link by which whoever opens it first becomes the owner of everything; nothing
    /// where there is someone who can read already. Earlier ones are of no use any more.
    ///
    /// # Errors
    /// When the database cannot be written.
    pub async fn first_sign_in_link(&self) -> Result<Option<Secret>, StoreError> {
        let mut transaction = self.database.begin("sessions").await?;
        if readers(&mut transaction).await? {
            return Ok(None);
        }
        sqlx::query("DELETE FROM sign_in_link WHERE principal IS NULL")
            .execute(&mut *transaction)
            .await?;
        let (code, digest) = generate()?;
        insert_link(&mut transaction, &digest, None).await?;
        transaction.commit().await?;
        Ok(Some(code))
    }

    /// Whether this is the code of a link that is still good.
    pub(crate) async fn is_sign_in_link(&self, code: &str) -> Result<bool, StoreError> {
        let row = sqlx::query("SELECT 1 FROM sign_in_link WHERE digest = $1 AND expires_at > $2")
            .bind(Digest::of(code).as_bytes())
            .bind(Timestamp::now().to_string())
            .fetch_optional(&self.database.readers)
            .await?;
        Ok(row.is_some())
    }

    /// Uses a link up: whom it signs in, if it is good.
    pub(crate) async fn redeem_sign_in_link(&self, code: &str) -> Result<Option<Uuid>, StoreError> {
        // Whoever has no link must not keep others from writing.
        if !self.is_sign_in_link(code).await? {
            return Ok(None);
        }
        let mut transaction = self.database.begin("sessions").await?;
        let row = sqlx::query(
            "DELETE FROM sign_in_link WHERE digest = $1 AND expires_at > $2 RETURNING principal",
        )
        .bind(Digest::of(code).as_bytes())
        .bind(Timestamp::now().to_string())
        .fetch_optional(&mut *transaction)
        .await?;
        let Some(row) = row else { return Ok(None) };
        let principal = match row.try_get::<Option<&str>, _>("principal")? {
            Some(principal) => read_id(principal)?,
            // Someone may have been made since.
            None if readers(&mut transaction).await? => return Ok(None),
            None => {
                let id = Uuid::new_v4();
                principals::insert(&mut transaction, id, ADMINISTRATOR).await?;
                let everywhere = Scope::EVERYWHERE;
                let text = id.to_string();
                principals::assign(&mut transaction, id, Role::Owner, &everywhere).await?;
                let change = Change {
                    by: &By::named("the first sign-in link"),
                    action: Action::CreatePrincipal,
                    resource: &principals::resource(&text),
                    before: None,
                    after: Some(json!({
                        "name": ADMINISTRATOR, "role": Role::Owner.as_str(),
                        "scope": everywhere.as_str(),
                    })),
                };
                change.record(&self.sealing, &mut transaction).await?;
                id
            }
        };
        transaction.commit().await?;
        Ok(Some(principal))
    }
}

/// Whether there is anyone besides agents.
async fn readers(connection: &mut sqlx::AnyConnection) -> Result<bool, sqlx::Error> {
    let row = sqlx::query("SELECT 1 FROM role_assignment WHERE role <> 'agent' LIMIT 1")
        .fetch_optional(connection)
        .await?;
    Ok(row.is_some())
}

async fn insert_link(
    connection: &mut sqlx::AnyConnection,
    digest: &Digest,
    principal: Option<&str>,
) -> Result<(), sqlx::Error> {
    sqlx::query("INSERT INTO sign_in_link (digest, principal, expires_at) VALUES ($1, $2, $3)")
        .bind(digest.as_bytes())
        .bind(principal)
        .bind(Timestamp(Timestamp::now().0 + LINK_LIFETIME).to_string())
        .execute(connection)
        .await
        .map(drop)
}

/// 256 random bits as text, and their digest.
fn generate() -> Result<(Secret, Digest), StoreError> {
    let text = BASE64_URL_SAFE_NO_PAD.encode(random::<32>()?);
    let digest = Digest::of(&text);
    Ok((text.into(), digest))
}

fn read_id(text: &str) -> Result<Uuid, StoreError> {
    text.parse()
        .map_err(|error: uuid::Error| broken("principal", error))
}
