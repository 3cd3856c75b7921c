//! What ends with a cluster or a group, or when an agent enrols anew: roles, and the agents that have no
//! other.

use sqlx::AnyConnection;

use super::{Role, RoleRecord};
use crate::store::{Store, StoreError, audit::By};

impl Store {
    /// Of a cluster or group that is deleted, in lower case: no role holds there any more, no token
    /// enrols, and its agents end. Whether any role held.
    pub(in crate::store) async fn end_agents(
        &self,
        connection: &mut AnyConnection,
        scope: &str,
        by: &By,
    ) -> Result<bool, StoreError> {
        self.database.also(connection, "principals").await?;
        sqlx::query(
            "DELETE FROM enrolment WHERE lower(cluster) = $1 \
             OR substr(lower(cluster), 1, length($1) + 1) = $1 || '/'",
        )
        .bind(scope)
        .execute(&mut *connection)
        .await?;
        self.withdraw_all(connection, scope, None, by).await
    }

    /// Takes the roles away that hold in a scope, in lower case, or below it: all, or one of them. An
    /// agent that has no other role ends, with its credentials. Whether any was taken.
    pub(in crate::store) async fn withdraw_all(
        &self,
        connection: &mut AnyConnection,
        scope: &str,
        only: Option<Role>,
        by: &By,
    ) -> Result<bool, StoreError> {
        let rows = sqlx::query(
            "SELECT * FROM role_assignment WHERE lower(scope) = $1 \
             OR substr(lower(scope), 1, length($1) + 1) = $1 || '/' ORDER BY principal, id",
        )
        .bind(scope)
        .fetch_all(&mut *connection)
        .await?;
        let mut gone = Vec::new();
        for row in &rows {
            let record = RoleRecord::read(row)?;
            if only.is_none_or(|role| role == record.role) {
                gone.push(record);
            }
        }
        for of_one in gone.chunk_by(|one, other| one.principal == other.principal) {
            let holder = of_one[0].principal;
            if of_one.iter().any(|one| one.role == Role::Agent) {
                let all: i64 =
                    sqlx::query_scalar("SELECT count(*) FROM role_assignment WHERE principal = $1")
                        .bind(holder.to_string())
                        .fetch_one(&mut *connection)
                        .await?;
                if usize::try_from(all) == Ok(of_one.len()) {
                    self.end(connection, holder, by).await?;
                    continue;
                }
            }
            for record in of_one {
                self.remove(connection, record, by).await?;
            }
        }
        Ok(!gone.is_empty())
    }
}
