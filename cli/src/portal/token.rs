//! `gitmoor portal token`: who may call the portal.

use std::{fs::DirBuilder, os::unix::fs::DirBuilderExt as _};

use anyhow::Context as _;
use clap::Subcommand;
use gitmoor_arm::ClusterId;
use gitmoor_portal::{
    Settings, Store,
    tokens::{Grant, Role, Scope},
};
use uuid::Uuid;

use crate::print;

#[derive(Debug, Subcommand)]
pub(crate) enum Token {
    /// Makes a token and prints it, once: the portal keeps only a hash.
    Create {
        /// Whose it is.
        #[arg(long, required_unless_present = "cluster", requires_all = ["scope", "role"])]
        name: Option<String>,
        /// Where its role holds: the id of a subscription, resource group or cluster.
        #[arg(long, requires = "name", value_name = "ID")]
        scope: Option<Scope>,
        /// What it may do: reader or contributor.
        #[arg(long, requires = "name")]
        role: Option<Role>,
        /// Instead, a token for the agent of this cluster.
        #[arg(long, conflicts_with = "name", value_name = "ID")]
        cluster: Option<ClusterId>,
    },
    /// Lists the tokens: their ids, when they were made, whose they are and what they reach.
    List,
    /// Revokes a token, from the next request on.
    Revoke {
        /// The id, as `list` shows it.
        id: Uuid,
    },
}

impl Token {
    pub(crate) async fn run(&self, settings: Settings) -> anyhow::Result<()> {
        let directory = &settings.data_directory;
        let mut private = DirBuilder::new();
        private.recursive(true).mode(0o700);
        private
            .create(directory)
            .with_context(|| format!("make the folder {}", directory.display()))?;
        let store = Store::open(&settings.database_path()).await?;
        match self {
            Self::Create {
                name,
                scope,
                role,
                cluster,
            } => {
                let token = match (cluster, name, scope, role) {
                    (Some(cluster), ..) => store.create_cluster_token(cluster).await?,
                    (None, Some(name), Some(scope), Some(role)) => {
                        store.create_principal(name, scope, *role).await?
                    }
                    _ => anyhow::bail!("give --cluster, or --name with --scope and --role"),
                };
                print(&format!("{}\n", token.expose()))?;
            }
            Self::List => {
                for token in store.tokens().await? {
                    let grant = match token.grant {
                        Grant::Principal { scope, role } => format!("{role} of {scope}"),
                        Grant::Cluster(cluster) => format!("agent of {}", cluster.as_str()),
                    };
                    let (id, made, name) = (token.id, token.created_at, token.name.escape_debug());
                    print(&format!("{id}  {made}  {name}  {grant}\n"))?;
                }
            }
            Self::Revoke { id } => {
                let revoked = store.revoke_token(*id).await?;
                anyhow::ensure!(
                    revoked,
                    "there is no token {id}: see `gitmoor portal token list`"
                );
            }
        }
        Ok(())
    }
}
