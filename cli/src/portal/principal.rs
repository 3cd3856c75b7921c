//! `gitmoor portal principal` and `gitmoor portal token`: who may call the portal, on its database.

use std::{
    fs::{self, DirBuilder},
    os::unix::fs::DirBuilderExt as _,
    path::PathBuf,
    time::Duration,
};

use anyhow::Context as _;
use clap::{Args, Subcommand};
use gitmoor_arm::ClusterId;
use gitmoor_portal::{
    Settings, Store,
    identity::{Certificate, Role, Scope},
};
use serde_json::json;
use uuid::Uuid;

use crate::print;

#[derive(Debug, Subcommand)]
pub(crate) enum Principal {
    /// Makes one and prints, as JSON, by what it proves itself. The secret is shown this once: the
    /// portal keeps only a hash.
    Create {
        /// Whose it is.
        #[arg(long, required_unless_present = "cluster", requires_all = ["scope", "role"])]
        name: Option<String>,
        /// Where its role holds: the id of a subscription, resource group or cluster.
        #[arg(long, requires = "name", value_name = "ID")]
        scope: Option<Scope>,
        /// What it may do: owner, contributor or reader.
        #[arg(long, requires = "name")]
        role: Option<Role>,
        /// A certificate in PEM form, by whose key it proves itself in place of a secret.
        #[arg(long, requires = "name", value_name = "FILE")]
        certificate: Option<PathBuf>,
        /// What the provider of `signInWith` calls a person, who then signs in there and has no
        /// secret.
        #[arg(long, requires = "name", conflicts_with = "certificate")]
        subject: Option<String>,
        /// Instead, the agent of this cluster.
        #[arg(long, conflicts_with = "name", value_name = "ID")]
        cluster: Option<ClusterId>,
    },
    /// Lists them: their ids, when they were made, whose they are and what they reach.
    List,
    /// Gives one another role.
    Assign(Assignment),
    /// Takes a role away, from the next request on.
    Withdraw(Assignment),
    /// What it proves itself by: secrets and certificates.
    #[command(subcommand)]
    Secret(Secret),
    /// Signs one out of every browser, and takes its links back that nobody has used. For its tokens
    /// there is `gitmoor portal keys rotate`.
    SignOut {
        /// The id, as `list` shows it.
        id: Uuid,
    },
    /// Deletes one, from the next request on.
    Delete {
        /// The id, as `list` shows it.
        id: Uuid,
    },
}

#[derive(Debug, Subcommand)]
pub(crate) enum Secret {
    /// Lists its secrets and certificates: their ids, kinds, when they were added and when they end.
    List {
        /// The principal's id.
        id: Uuid,
    },
    /// Adds a secret beside those that it has, and prints it, this once.
    Add {
        /// The principal's id.
        id: Uuid,
        /// After how many days it ends; never, when it is not given.
        #[arg(long, value_parser = clap::value_parser!(u16).range(1..))]
        days: Option<u16>,
    },
    /// Takes a secret or a certificate away. Tokens that it was given for it are good for an hour at
    /// most, or until `gitmoor portal keys rotate`.
    Remove {
        /// The principal's id.
        id: Uuid,
        /// The secret's id, as `list` shows it.
        secret: Uuid,
    },
}

#[derive(Debug, Args)]
pub(crate) struct Assignment {
    /// The id, as `list` shows it.
    id: Uuid,
    /// Where the role holds: the id of a subscription, resource group or cluster.
    #[arg(long, value_name = "ID")]
    scope: Scope,
    /// What it may do: owner, contributor, reader or agent.
    #[arg(long)]
    role: Role,
}

/// A token for a shell: programs ask the portal for theirs.
#[derive(Debug, Args)]
pub(crate) struct Token {
    /// The principal's id, as `principal list` shows it.
    id: Uuid,
    /// How long it is good, in minutes; at most a day.
    #[arg(long, default_value_t = 60, value_parser = clap::value_parser!(u16).range(1..=1440))]
    minutes: u16,
}

/// A link for someone with a browser.
#[derive(Debug, Args)]
pub(crate) struct Link {
    /// The principal's id, as `principal list` shows it.
    id: Uuid,
}

impl Principal {
    pub(crate) async fn run(&self, settings: Settings) -> anyhow::Result<()> {
        let store = open(&settings).await?;
        match self {
            Self::Create {
                name,
                scope,
                role,
                certificate,
                subject,
                cluster,
            } => {
                let secret = match (cluster, name, scope, role) {
                    (Some(cluster), ..) => store.create_agent(cluster).await?,
                    (None, Some(name), Some(scope), Some(role)) => {
                        if let Some(path) = certificate {
                            let pem = fs::read(path);
                            let pem = pem.with_context(|| format!("read {}", path.display()))?;
                            let certificate = Certificate::from_pem(&pem)?;
                            let id = store
                                .create_principal_with_certificate(name, scope, *role, &certificate)
                                .await?;
                            let made = json!({"tenantId": store.tenant(), "clientId": id});
                            print(&format!("{made}\n"))?;
                            return Ok(());
                        }
                        if let Some(subject) = subject {
                            let provider = settings.sign_in_with.as_ref();
                            let provider = provider.context("`signInWith` is not set")?;
                            let id = store
                                .create_person(name, scope, *role, provider, subject)
                                .await?;
                            let id = id.with_context(|| {
                                format!("someone is {subject} already: see their roles with `gitmoor portal principal list`")
                            })?;
                            let made = json!({"tenantId": store.tenant(), "clientId": id});
                            print(&format!("{made}\n"))?;
                            return Ok(());
                        }
                        store.create_principal(name, scope, *role).await?
                    }
                    _ => anyhow::bail!("give --cluster, or --name with --scope and --role"),
                };
                let made = json!({
                    "tenantId": store.tenant(),
                    "clientId": secret.id(),
                    "clientSecret": secret.expose(),
                });
                print(&format!("{made}\n"))?;
            }
            Self::List => {
                for one in store.principals().await? {
                    let (id, made, name) = (one.id, one.created_at, one.name.escape_debug());
                    let roles = one.assignments.iter().map(ToString::to_string);
                    let roles = roles.collect::<Vec<_>>().join(", ");
                    print(&format!("{id}  {made}  {name}  {roles}\n"))?;
                }
            }
            Self::Assign(Assignment { id, scope, role }) => {
                let known = store.assign_role(*id, *role, scope).await?;
                anyhow::ensure!(known, unknown(*id));
            }
            Self::Withdraw(Assignment { id, scope, role }) => {
                let withdrawn = store.withdraw_role(*id, *role, scope).await?;
                anyhow::ensure!(
                    withdrawn,
                    "{id} is not {role} of {scope}: see `gitmoor portal principal list`"
                );
            }
            Self::Secret(secret) => secret.run(&store).await?,
            Self::SignOut { id } => {
                anyhow::ensure!(store.sign_out(*id).await?, unknown(*id));
            }
            Self::Delete { id } => {
                anyhow::ensure!(store.delete_principal(*id).await?, unknown(*id));
            }
        }
        Ok(())
    }
}

impl Secret {
    async fn run(&self, store: &Store) -> anyhow::Result<()> {
        match self {
            Self::List { id } => {
                ensure_known(store, *id).await?;
                for one in store.credentials(*id).await? {
                    let end = one.expires_at.map(|end| format!("until {end}"));
                    let end = end.unwrap_or_else(|| "without an end".to_owned());
                    let (id, kind, added) = (one.id, one.kind, one.created_at);
                    print(&format!("{id}  {kind}  {added}  {end}\n"))?;
                }
            }
            Self::Add { id, days } => {
                let lifetime = days.map(|days| Duration::from_hours(24 * u64::from(days)));
                let added = store.add_secret(*id, lifetime).await?;
                let (secret, added) = added.with_context(|| unknown(*id))?;
                let made = json!({
                    "tenantId": store.tenant(),
                    "clientId": id,
                    "clientSecret": secret.expose(),
                    "secretId": added,
                });
                print(&format!("{made}\n"))?;
            }
            Self::Remove { id, secret } => {
                let removed = store.remove_credential(*id, *secret).await?;
                anyhow::ensure!(
                    removed,
                    "{id} has no secret {secret}: see `gitmoor portal principal secret list {id}`"
                );
            }
        }
        Ok(())
    }
}

impl Token {
    pub(crate) async fn run(&self, settings: Settings) -> anyhow::Result<()> {
        let store = open(&settings).await?;
        let lifetime = Duration::from_secs(u64::from(self.minutes) * 60);
        let token = store.issue_token(self.id, Some(lifetime)).await?;
        let token = token.with_context(|| unknown(self.id))?;
        print(&format!("{}\n", token.expose()))?;
        Ok(())
    }
}

impl Link {
    pub(crate) async fn run(&self, settings: Settings) -> anyhow::Result<()> {
        let store = open(&settings).await?;
        ensure_known(&store, self.id).await?;
        let code = store.create_sign_in_link(self.id).await?;
        let link = settings.sign_in_link(settings.listen.port(), &code);
        print(&format!("{}\n", link.expose()))?;
        Ok(())
    }
}

/// Fails when there is no such principal.
async fn ensure_known(store: &Store, id: Uuid) -> anyhow::Result<()> {
    let known = store.principals().await?;
    anyhow::ensure!(known.iter().any(|one| one.id == id), unknown(id));
    Ok(())
}

fn unknown(id: Uuid) -> String {
    format!("there is no principal {id}: see `gitmoor portal principal list`")
}

/// The store, in a folder that is made first.
pub(super) async fn open(settings: &Settings) -> anyhow::Result<Store> {
    make_directory(settings)?;
    Ok(Store::open(settings).await?)
}

/// Makes the folder of what the portal keeps.
pub(super) fn make_directory(settings: &Settings) -> anyhow::Result<()> {
    let directory = &settings.data_directory;
    let mut private = DirBuilder::new();
    private.recursive(true).mode(0o700);
    private
        .create(directory)
        .with_context(|| format!("make the folder {}", directory.display()))
}
