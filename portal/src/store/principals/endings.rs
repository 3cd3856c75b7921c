//! What ends with a cluster or a group, or when an agent enrols anew: roles, and the agents that have no
//! other.

use sqlx::AnyConnection;
use uuid::Uuid;

use super::{Role, Scope, broken, find};
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
        let holders: Vec<String> = sqlx::query_scalar(
            "SELECT DISTINCT principal FROM role_assignment WHERE lower(scope) = $1 \
             OR substr(lower(scope), 1, length($1) + 1) = $1 || '/' ORDER BY principal",
        )
        .bind(scope)
        .fetch_all(&mut *connection)
        .await?;
        let within: Scope = scope.parse().map_err(|error| broken("scope", error))?;
        let mut taken = false;
        for holder in holders {
            let id = holder.parse();
            let id: Uuid = id.map_err(|error: uuid::Error| broken("principal", error))?;
            let Some(principal) = find(connection, id).await? else {
                continue;
            };
            let (gone, left): (Vec<_>, Vec<_>) =
                principal.assignments.into_iter().partition(|one| {
                    within.covers(&one.scope) && only.is_none_or(|role| role == one.role)
                });
            taken |= !gone.is_empty();
            if left.is_empty() && gone.iter().any(|one| one.role == Role::Agent) {
                self.end(connection, id, by).await?;
                continue;
            }
            for one in gone {
                self.withdraw(connection, id, one.role, &one.scope, by)
                    .await?;
            }
        }
        Ok(taken)
    }
}
