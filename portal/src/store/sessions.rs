//! Who is signed in to the page, and the links that sign someone in once. What a browser holds is
//! random; kept is its digest.

use std::time::Duration;

use base64::{Engine as _, prelude::BASE64_URL_SAFE_NO_PAD};
use gitmoor_arm::{Secret, Timestamp};
use serde_json::json;
use sqlx::{AnyConnection, Row as _};
use uuid::Uuid;

use super::{
    Store, StoreError,
    audit::{Action, By, Change},
    changes::{News, Told},
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
    /// Signs a principal in, who proved itself `with` that; what its browser is to hold, or nothing when
    /// the principal is gone. What the browser held until now holds no more.
    pub(crate) async fn begin_session(
        &self,
        principal: Uuid,
        with: &str,
        until_now: Option<&str>,
    ) -> Result<Option<Secret>, StoreError> {
        let (secret, digest) = generate()?;
        let now = Timestamp::now();
        let mut transaction = self.database.begin("sessions").await?;
        let Some(person) = principals::find(&mut transaction, principal).await? else {
            return Ok(None);
        };
        if let Some(secret) = until_now {
            self.leave(&mut transaction, secret).await?;
        }
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
        let change = Change {
            by: &(&person).into(),
            action: Action::SignIn,
            resource: &principals::resource(&principal.to_string()),
            before: None,
            after: Some(json!({"with": with})),
        };
        change.record(&self.sealing, &mut transaction).await?;
        transaction.commit().await?;
        if until_now.is_some() {
            self.changes.show(News::SignedOut);
        }
        Ok(Some(secret))
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
        let mut transaction = self.database.begin("sessions").await?;
        self.leave(&mut transaction, secret).await?;
        transaction.commit().await?;
        self.changes.show(News::SignedOut);
        Ok(())
    }

    async fn leave(&self, connection: &mut AnyConnection, secret: &str) -> Result<(), StoreError> {
        let ended: Option<String> =
            sqlx::query_scalar("DELETE FROM session WHERE digest = $1 RETURNING principal")
                .bind(Digest::of(secret).as_bytes())
                .fetch_optional(&mut *connection)
                .await?;
        let Some(id) = ended else { return Ok(()) };
        let Some(person) = principals::find(connection, read_id(&id)?).await? else {
            return Ok(());
        };
        let change = Change {
            by: &(&person).into(),
            action: Action::SignOut,
            resource: &principals::resource(&id),
            before: Some(json!({"sessions": 1})),
            after: None,
        };
        change.record(&self.sealing, connection).await
    }

    /// Signs a principal out of every browser, and takes its links back that nobody has used; whether
    /// there is such a principal. Its tokens are good until they end.
    ///
    /// # Errors
    /// When the database cannot be written.
    pub async fn sign_out(&self, principal: Uuid) -> Result<bool, StoreError> {
        let mut transaction = self.database.begin("sessions").await?;
        if principals::find(&mut transaction, principal)
            .await?
            .is_none()
        {
            return Ok(false);
        }
        let id = principal.to_string();
        let mut ended = [0; 2];
        for (count, query) in ended.iter_mut().zip([
            "DELETE FROM session WHERE principal = $1",
            "DELETE FROM sign_in_link WHERE principal = $1",
        ]) {
            let done = sqlx::query(query).bind(&id).execute(&mut *transaction);
            *count = done.await?.rows_affected();
        }
        let [sessions, links] = ended;
        let change = Change {
            by: &By::command_line(),
            action: Action::SignOut,
            resource: &principals::resource(&id),
            before: Some(json!({"sessions": sessions, "links": links})),
            after: None,
        };
        change.record(&self.sealing, &mut transaction).await?;
        // Pages that are open look again, also those of other portals.
        self.commit(transaction, Told::Shown(String::new())).await?;
        Ok(true)
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
        let change = Change {
            by: &By::portal(),
            action: Action::CreateSignInLink,
            resource: "/providers/Gitmoor.Portal/signInLinks",
            before: None,
            after: Some(json!({"role": Role::Owner.as_str(), "scope": "/"})),
        };
        change.record(&self.sealing, &mut transaction).await?;
        transaction.commit().await?;
        Ok(Some(code))
    }

    /// Whom the link of that code signs in, by name, if it is still good.
    pub(crate) async fn sign_in_link(&self, code: &str) -> Result<Option<LinkFor>, StoreError> {
        let row = sqlx::query(
            "SELECT p.name FROM sign_in_link l LEFT JOIN principal p ON p.id = l.principal \
             WHERE l.digest = $1 AND l.expires_at > $2",
        )
        .bind(Digest::of(code).as_bytes())
        .bind(Timestamp::now().to_string())
        .fetch_optional(&self.database.readers)
        .await?;
        let Some(row) = row else { return Ok(None) };
        let name: Option<String> = row.try_get("name")?;
        Ok(Some(name.map_or(LinkFor::FirstOne, LinkFor::Principal)))
    }

    /// Uses a link up: whom it signs in, if it is good.
    pub(crate) async fn redeem_sign_in_link(&self, code: &str) -> Result<Option<Uuid>, StoreError> {
        // Whoever has no link must not keep others from writing.
        if self.sign_in_link(code).await?.is_none() {
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

/// Whom a link signs in.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum LinkFor {
    /// The one of this name.
    Principal(String),
    /// Whoever comes first, who then owns everything.
    FirstOne,
}

/// Whether there is anyone besides agents.
async fn readers(connection: &mut AnyConnection) -> Result<bool, sqlx::Error> {
    let row = sqlx::query("SELECT 1 FROM role_assignment WHERE role <> 'agent' LIMIT 1")
        .fetch_optional(connection)
        .await?;
    Ok(row.is_some())
}

async fn insert_link(
    connection: &mut AnyConnection,
    digest: &Digest,
    principal: Option<&str>,
) -> Result<(), sqlx::Error> {
    let now = Timestamp::now();
    sqlx::query("DELETE FROM sign_in_link WHERE expires_at < $1")
        .bind(now.to_string())
        .execute(&mut *connection)
        .await?;
    sqlx::query("INSERT INTO sign_in_link (digest, principal, expires_at) VALUES ($1, $2, $3)")
        .bind(digest.as_bytes())
        .bind(principal)
        .bind(Timestamp(now.0 + LINK_LIFETIME).to_string())
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
