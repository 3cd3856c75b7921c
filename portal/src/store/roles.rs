//! Which principal has which role where: each a resource of its scope with an id of its own, as in ARM.

use serde_json::{Value, json};
use sqlx::{AnyConnection, Row as _, any::AnyRow};
use uuid::Uuid;

use super::{
    Condition, Store, StoreError,
    audit::{Action, By, Change},
    rows::{self, broken},
};
use crate::identity::{Role, Scope};

/// A role of a principal in a scope.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct RoleRecord {
    pub(crate) id: Uuid,
    pub(crate) principal: Uuid,
    pub(crate) role: Role,
    pub(crate) scope: Scope,
}

/// What became of a PUT of one.
#[derive(Debug)]
pub(crate) enum RoleWrite {
    Created(RoleRecord),
    /// It was there.
    Same(RoleRecord),
    /// It was there, by this id.
    Exists(Uuid),
    /// The id is that of another one, which stays as it is.
    Taken,
    NoPrincipal,
    /// It is not as the caller believes.
    Condition,
}

/// What became of a DELETE of one.
#[derive(Debug)]
pub(crate) enum RoleDelete {
    Deleted(RoleRecord),
    /// There is none.
    Gone,
    /// Nobody else owns everything.
    LastOwner,
    /// It is not as the caller believes.
    Condition,
}

impl RoleRecord {
    fn is(&self, other: &Self) -> bool {
        self.principal == other.principal && self.role == other.role && self.scope.is(&other.scope)
    }

    /// The id as ARM writes it.
    pub(crate) fn resource(&self) -> String {
        let scope = self.scope.as_str().trim_end_matches('/');
        format!(
            "{scope}/providers/Microsoft.Authorization/roleAssignments/{}",
            self.id
        )
    }

    /// What tells it from another one of its id.
    pub(crate) fn etag(&self) -> String {
        rows::etag(&(self.resource(), self.audited()))
    }

    fn audited(&self) -> Value {
        json!({"role": self.role.as_str(), "principal": self.principal})
    }

    pub(super) fn read(row: &AnyRow) -> Result<Self, StoreError> {
        let id = |column: &'static str| {
            let text: &str = row.try_get(column)?;
            text.parse()
                .map_err(|error: uuid::Error| broken(column, error))
        };
        let (role, scope): (&str, &str) = (row.try_get("role")?, row.try_get("scope")?);
        Ok(Self {
            id: id("id")?,
            principal: id("principal")?,
            role: role.parse().map_err(|error| broken("role", error))?,
            scope: scope.parse().map_err(|error| broken("scope", error))?,
        })
    }

    pub(super) async fn insert(&self, connection: &mut AnyConnection) -> Result<(), sqlx::Error> {
        sqlx::query(
            "INSERT INTO role_assignment (id, principal, role, scope) VALUES ($1, $2, $3, $4)",
        )
        .bind(self.id.to_string())
        .bind(self.principal.to_string())
        .bind(self.role.as_str())
        .bind(self.scope.as_str())
        .execute(connection)
        .await
        .map(drop)
    }
}

impl Store {
    /// The roles of people and programs, wherever they hold.
    pub(crate) async fn roles(&self) -> Result<Vec<RoleRecord>, StoreError> {
        sqlx::query("SELECT * FROM role_assignment WHERE role <> 'agent' ORDER BY id")
            .fetch_all(&self.database.readers)
            .await?
            .iter()
            .map(RoleRecord::read)
            .collect()
    }

    /// That of them with this id.
    pub(crate) async fn role(&self, id: Uuid) -> Result<Option<RoleRecord>, StoreError> {
        sqlx::query("SELECT * FROM role_assignment WHERE id = $1 AND role <> 'agent'")
            .bind(id.to_string())
            .fetch_optional(&self.database.readers)
            .await?
            .as_ref()
            .map(RoleRecord::read)
            .transpose()
    }

    /// Gives a role, from the next request on.
    pub(crate) async fn put_role(
        &self,
        record: RoleRecord,
        by: &By,
        condition: &Condition,
    ) -> Result<RoleWrite, StoreError> {
        let mut transaction = self.database.begin("principals").await?;
        let known = sqlx::query("SELECT * FROM role_assignment WHERE id = $1 OR principal = $2")
            .bind(record.id.to_string())
            .bind(record.principal.to_string())
            .fetch_all(&mut *transaction)
            .await?;
        let known: Vec<_> = known
            .iter()
            .map(RoleRecord::read)
            .collect::<Result<_, _>>()?;
        let old = known.iter().find(|old| old.id == record.id);
        let here = old.filter(|old| old.scope.is(&record.scope));
        if !condition.holds(here.map(RoleRecord::etag).as_deref()) {
            return Ok(RoleWrite::Condition);
        }
        let there = sqlx::query("SELECT 1 FROM principal WHERE id = $1")
            .bind(record.principal.to_string())
            .fetch_optional(&mut *transaction)
            .await?;
        if there.is_none() {
            return Ok(RoleWrite::NoPrincipal);
        }
        if let Some(old) = old {
            return Ok(if old.is(&record) {
                RoleWrite::Same(old.clone())
            } else {
                RoleWrite::Taken
            });
        }
        if let Some(old) = known.iter().find(|old| old.is(&record)) {
            return Ok(RoleWrite::Exists(old.id));
        }
        record.insert(&mut transaction).await?;
        let change = Change {
            by,
            action: Action::AssignRole,
            resource: &record.resource(),
            before: None,
            after: Some(record.audited()),
        };
        change.record(&self.sealing, &mut transaction).await?;
        transaction.commit().await?;
        Ok(RoleWrite::Created(record))
    }

    /// Takes the role of that id in that scope away, from the next request on; but not from the last
    /// one who owns everything.
    pub(crate) async fn delete_role(
        &self,
        scope: &Scope,
        id: Uuid,
        by: &By,
        condition: &Condition,
    ) -> Result<RoleDelete, StoreError> {
        let mut transaction = self.database.begin("principals").await?;
        let roles = sqlx::query("SELECT * FROM role_assignment WHERE role <> 'agent'")
            .fetch_all(&mut *transaction)
            .await?;
        let roles: Vec<_> = roles
            .iter()
            .map(RoleRecord::read)
            .collect::<Result<_, _>>()?;
        let record = roles.iter().find(|one| one.id == id && one.scope.is(scope));
        if !condition.holds(record.map(RoleRecord::etag).as_deref()) {
            return Ok(RoleDelete::Condition);
        }
        let Some(record) = record else {
            return Ok(RoleDelete::Gone);
        };
        let owns = |one: &&RoleRecord| one.role.owns() && one.scope.is(&Scope::EVERYWHERE);
        if owns(&record) && roles.iter().filter(owns).count() == 1 {
            return Ok(RoleDelete::LastOwner);
        }
        self.remove(&mut transaction, record, by).await?;
        transaction.commit().await?;
        Ok(RoleDelete::Deleted(record.clone()))
    }

    pub(super) async fn remove(
        &self,
        connection: &mut AnyConnection,
        record: &RoleRecord,
        by: &By,
    ) -> Result<(), StoreError> {
        sqlx::query("DELETE FROM role_assignment WHERE id = $1")
            .bind(record.id.to_string())
            .execute(&mut *connection)
            .await?;
        let change = Change {
            by,
            action: Action::WithdrawRole,
            resource: &record.resource(),
            before: Some(record.audited()),
            after: None,
        };
        change.record(&self.sealing, connection).await
    }

    /// Gives a principal another role, from the next request on; whether there is such a principal.
    ///
    /// # Errors
    /// When the database cannot be written.
    pub async fn assign_role(
        &self,
        principal: Uuid,
        role: Role,
        scope: &Scope,
    ) -> Result<bool, StoreError> {
        let record = RoleRecord {
            id: Uuid::new_v4(),
            principal,
            role,
            scope: scope.clone(),
        };
        let (by, any) = (By::command_line(), Condition::default());
        let written = self.put_role(record, &by, &any).await?;
        Ok(!matches!(written, RoleWrite::NoPrincipal))
    }

    /// Takes a role away, from the next request on, also from the last one who owns everything:
    /// whoever holds the database can make another. Whether it had that one.
    ///
    /// # Errors
    /// When the database cannot be written.
    pub async fn withdraw_role(
        &self,
        principal: Uuid,
        role: Role,
        scope: &Scope,
    ) -> Result<bool, StoreError> {
        let mut transaction = self.database.begin("principals").await?;
        let by = By::command_line();
        let roles = sqlx::query("SELECT * FROM role_assignment WHERE principal = $1 AND role = $2")
            .bind(principal.to_string())
            .bind(role.as_str())
            .fetch_all(&mut *transaction)
            .await?;
        let mut found = false;
        for row in &roles {
            let record = RoleRecord::read(row)?;
            if record.scope.is(scope) {
                found = true;
                self.remove(&mut transaction, &record, &by).await?;
            }
        }
        transaction.commit().await?;
        Ok(found)
    }
}

#[cfg(test)]
mod tests {
    use gitmoor_postgres::Postgres;
    use sqlx::Executor as _;

    use super::*;
    use crate::{Location, store::database::Database};

    #[tokio::test]
    async fn roles_of_an_older_version_get_ids_of_their_own() {
        let directory = tempfile::tempdir().unwrap();
        let postgres = Postgres::shared().unwrap().fresh().unwrap();
        for location in [
            Location::file(directory.path().join("portal.db")),
            Location::parse(&postgres).unwrap(),
        ] {
            let database = Database::connect(&location).await.unwrap();
            let migrate = async |target| {
                let mut transaction = database.begin("schema").await.unwrap();
                let done = database.migrate_to(&mut transaction, target).await;
                done.unwrap();
                transaction.commit().await.unwrap();
            };
            migrate(Some(9)).await;
            let id = Uuid::new_v4();
            let rows = format!(
                "INSERT INTO principal (id, name, created_at) VALUES ('{id}', 'ann', '');
                 INSERT INTO role_assignment (principal, role, scope) VALUES
                 ('{id}', 'owner', '/'), ('{id}', 'reader', '/'), ('{id}', 'reader', '/subscriptions/s')"
            );
            let rows = sqlx::AssertSqlSafe(rows);
            database.writer.execute(sqlx::raw_sql(rows)).await.unwrap();
            migrate(None).await;
            let found = sqlx::query("SELECT * FROM role_assignment ORDER BY id")
                .fetch_all(&database.readers)
                .await
                .unwrap();
            let found: Vec<_> = found
                .iter()
                .map(|row| RoleRecord::read(row).unwrap())
                .collect();
            assert_eq!(found.len(), 3);
            assert!(found.windows(2).all(|pair| pair[0].id != pair[1].id));
            assert!(found.iter().all(|one| one.principal == id));
            database.close().await;
        }
    }
}
