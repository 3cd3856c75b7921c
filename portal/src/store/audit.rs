//! The audit log: who changed what, and what it was before and after, without secrets. An entry is
//! written by the same transaction as the change, so there is none without the other. What agents
//! report of a configuration is no change of it: its history shows that.

use gitmoor_arm::{IdentityType, ProtectedSettings, Timestamp};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use sqlx::{AnyConnection, Row as _, any::AnyRow};
use uuid::{Builder, Uuid};

use super::{Store, StoreError, sealing::Sealing};
use crate::identity::{Principal, Scope};

/// Who does something.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct By {
    pub(crate) id: Option<Uuid>,
    pub(crate) name: String,
    pub(crate) kind: IdentityType,
}

impl By {
    /// Whoever runs a command on the database itself.
    pub(super) fn command_line() -> Self {
        let user = rustix::process::getuid().as_raw();
        Self {
            kind: IdentityType::User,
            ..Self::named(&format!("command line of user {user}"))
        }
    }

    /// A principal that is a person, who looks at the page.
    pub(crate) fn person(principal: &Principal) -> Self {
        Self {
            kind: IdentityType::User,
            ..principal.into()
        }
    }

    /// A portal that does by itself what is due.
    pub(super) fn portal() -> Self {
        Self::named("the portal")
    }

    /// Someone who is no principal.
    pub(super) fn named(name: &str) -> Self {
        Self {
            id: None,
            name: name.to_owned(),
            kind: IdentityType::Application,
        }
    }
}

impl From<&Principal> for By {
    fn from(principal: &Principal) -> Self {
        Self {
            id: Some(principal.id),
            name: principal.name.clone(),
            kind: IdentityType::Application,
        }
    }
}

/// What was done, in the names of ARM's operations.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Action {
    PutConfiguration,
    DeleteConfiguration,
    PutFluxConfiguration,
    DeleteFluxConfiguration,
    PutCluster,
    DeleteCluster,
    PutGroup,
    DeleteGroup,
    CreatePrincipal,
    DeletePrincipal,
    ReplaceSecret,
    AssignRole,
    WithdrawRole,
    AddCredential,
    RemoveCredential,
    IssueToken,
    CreateSignInLink,
    SignIn,
    SignOut,
    CreateEnrolment,
    CreateSigningKey,
    DeleteSigningKey,
    ChangeSealingKey,
    Restore,
}

impl Action {
    fn as_str(self) -> &'static str {
        match self {
            Self::PutConfiguration => {
                "Microsoft.KubernetesConfiguration/sourceControlConfigurations/write"
            }
            Self::DeleteConfiguration => {
                "Microsoft.KubernetesConfiguration/sourceControlConfigurations/delete"
            }
            Self::PutFluxConfiguration => {
                "Microsoft.KubernetesConfiguration/fluxConfigurations/write"
            }
            Self::DeleteFluxConfiguration => {
                "Microsoft.KubernetesConfiguration/fluxConfigurations/delete"
            }
            Self::PutCluster => "Microsoft.Kubernetes/connectedClusters/write",
            Self::DeleteCluster => "Microsoft.Kubernetes/connectedClusters/delete",
            Self::PutGroup => "Microsoft.Resources/subscriptions/resourceGroups/write",
            Self::DeleteGroup => "Microsoft.Resources/subscriptions/resourceGroups/delete",
            Self::CreatePrincipal => "Gitmoor.Portal/principals/write",
            Self::DeletePrincipal => "Gitmoor.Portal/principals/delete",
            Self::ReplaceSecret => "Gitmoor.Portal/principals/credentials/write",
            Self::AssignRole => "Microsoft.Authorization/roleAssignments/write",
            Self::WithdrawRole => "Microsoft.Authorization/roleAssignments/delete",
            Self::AddCredential => "Gitmoor.Portal/credentials/write",
            Self::RemoveCredential => "Gitmoor.Portal/credentials/delete",
            Self::IssueToken => "Gitmoor.Portal/tokens/write",
            Self::CreateSignInLink => "Gitmoor.Portal/signInLinks/write",
            Self::SignIn => "Gitmoor.Portal/sessions/write",
            Self::SignOut => "Gitmoor.Portal/sessions/delete",
            Self::CreateSigningKey => "Gitmoor.Portal/signingKeys/write",
            Self::DeleteSigningKey => "Gitmoor.Portal/signingKeys/delete",
            Self::ChangeSealingKey => "Gitmoor.Portal/sealingKeys/write",
            Self::Restore => "Gitmoor.Portal/restores/write",
            Self::CreateEnrolment => "Gitmoor.Portal/enrolments/write",
        }
    }
}

/// An entry of the audit log.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct AuditEntry {
    /// When.
    pub at: Timestamp,
    /// The id of the principal who did it; none for commands on the database itself.
    pub principal: Option<Uuid>,
    /// The name that the principal had.
    pub by: String,
    /// What was done, as ARM names operations: `Microsoft.Kubernetes/connectedClusters/write`.
    pub action: String,
    /// To what: an id as ARM writes them.
    pub resource: String,
    /// What it was; nothing when it was made.
    pub before: Option<Value>,
    /// What it became; nothing when it was deleted.
    pub after: Option<Value>,
}

/// A change that is to be written down.
pub(super) struct Change<'a> {
    pub(super) by: &'a By,
    pub(super) action: Action,
    pub(super) resource: &'a str,
    pub(super) before: Option<Value>,
    pub(super) after: Option<Value>,
}

impl Change<'_> {
    /// Writes it down.
    pub(super) async fn record(
        self,
        sealing: &Sealing,
        connection: &mut AnyConnection,
    ) -> Result<(), StoreError> {
        let id = Uuid::now_v7().to_string();
        let entry = AuditEntry {
            at: Timestamp::now(),
            principal: self.by.id,
            by: self.by.name.clone(),
            action: self.action.as_str().to_owned(),
            resource: self.resource.to_owned(),
            before: self.before,
            after: self.after,
        };
        sqlx::query("INSERT INTO audit (id, resource, entry) VALUES ($1, $2, $3)")
            .bind(&id)
            .bind(self.resource.to_ascii_lowercase())
            .bind(sealing.json("audit", &id, &entry)?)
            .execute(connection)
            .await?;
        Ok(())
    }
}

/// A configuration for the log: of its secrets the names alone.
pub(super) fn configuration(properties: &impl Serialize, settings: &ProtectedSettings) -> Value {
    let names: Vec<&str> = settings.iter().map(|(name, _)| name).collect();
    json!({"properties": properties, "protectedSettings": names})
}

/// The names of the secrets that are others than before, or were not there, or are gone.
pub(super) fn changed_secrets(old: &ProtectedSettings, new: &ProtectedSettings) -> Vec<String> {
    let value = |settings: &ProtectedSettings, name: &str| {
        let mut pairs = settings.iter();
        let found = pairs.find(|(known, _)| *known == name);
        found.map(|(_, value)| value.expose().to_owned())
    };
    let mut names: Vec<String> = old
        .iter()
        .chain(new.iter())
        .map(|(name, _)| name.to_owned())
        .filter(|name| value(old, name) != value(new, name))
        .collect();
    names.sort_unstable();
    names.dedup();
    names
}

impl Store {
    /// The entries on what lies in `scope` since a moment, the newest first; at most `limit`.
    ///
    /// # Errors
    /// When the database cannot be read.
    pub async fn audit(
        &self,
        scope: &Scope,
        since: Timestamp,
        limit: u32,
    ) -> Result<Vec<AuditEntry>, StoreError> {
        let prefix = scope.as_str().trim_end_matches('/').to_ascii_lowercase();
        let rows = sqlx::query(
            "SELECT id, entry FROM audit WHERE id >= $1 \
             AND ($2 = '' OR resource = $2 OR substr(resource, 1, length($2) + 1) = $2 || '/') \
             ORDER BY id DESC LIMIT $3",
        )
        .bind(first_id(since))
        .bind(prefix)
        .bind(i64::from(limit))
        .fetch_all(&self.database.readers)
        .await?;
        let read = |row: &AnyRow| {
            let id: &str = row.try_get("id")?;
            self.sealing.read("audit", id, row.try_get("entry")?)
        };
        rows.iter().map(read).collect()
    }

    /// Deletes the entries from before a moment.
    pub(crate) async fn forget_audit(&self, before: Timestamp) -> Result<(), StoreError> {
        sqlx::query("DELETE FROM audit WHERE id < $1")
            .bind(first_id(before))
            .execute(&self.database.writer)
            .await?;
        Ok(())
    }
}

/// The id than which those of that moment are not less.
fn first_id(moment: Timestamp) -> String {
    let millis = moment.0.unix_timestamp_nanos() / 1_000_000;
    let millis = u64::try_from(millis).unwrap_or_default();
    let id = Builder::from_unix_timestamp_millis(millis, &[0; 10]);
    id.into_uuid().to_string()
}
