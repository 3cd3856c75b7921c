//! The database under a portal, for what nobody may do by the portal: to let time pass, to look at what is kept.

use std::fs;

use sqlx::{AnyPool, AssertSqlSafe, any::install_default_drivers};

use super::server::Server;

/// A connection of its own.
pub(super) struct Sql(AnyPool);

impl Sql {
    pub(super) async fn of(server: &Server) -> Self {
        install_default_drivers();
        let directory = server.directory();
        let url = fs::read_to_string(directory.join("postgres-url"))
            .unwrap_or_else(|_| format!("sqlite://{}", directory.join("portal.db").display()));
        Self(AnyPool::connect(&url).await.unwrap())
    }

    /// How many rows it changed.
    pub(super) async fn run(&self, statement: &str) -> u64 {
        let done = sqlx::query(AssertSqlSafe(statement.to_owned()))
            .execute(&self.0)
            .await;
        done.unwrap().rows_affected()
    }

    /// The one text that is found.
    pub(super) async fn text(&self, query: &str) -> String {
        let query = sqlx::query_scalar(AssertSqlSafe(query.to_owned()));
        query.fetch_one(&self.0).await.unwrap()
    }
}
