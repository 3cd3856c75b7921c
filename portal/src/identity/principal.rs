//! Principals and the secrets by which they prove themselves.

use base64::{Engine as _, prelude::BASE64_URL_SAFE_NO_PAD};
use gitmoor_arm::{Secret, Timestamp};
use sha2::{Digest as _, Sha256};
use subtle::ConstantTimeEq as _;
use uuid::Uuid;

use super::{Assignment, Role, Scope};

/// What a secret begins with, so that scanners for leaked secrets can tell it.
const PREFIX: &str = "gitmoor.";

/// A person, a program or a cluster.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Principal {
    /// Its id, the `client_id` when it asks for a token.
    pub id: Uuid,
    /// Whose it is; `systemData` shows it.
    pub name: String,
    /// What it may do and where.
    pub assignments: Vec<Assignment>,
    /// When it was made.
    pub created_at: Timestamp,
}

impl Principal {
    /// Whether it may read resources in `scope`.
    pub(crate) fn reads(&self, scope: &Scope) -> bool {
        self.has(Role::reads, scope)
    }

    /// Whether it may write resources in `scope`.
    pub(crate) fn writes(&self, scope: &Scope) -> bool {
        self.has(Role::writes, scope)
    }

    /// Whether it may give and take roles in `scope`.
    pub(crate) fn owns(&self, scope: &Scope) -> bool {
        self.has(Role::owns, scope)
    }

    fn has(&self, allows: fn(Role) -> bool, scope: &Scope) -> bool {
        self.assignments
            .iter()
            .any(|one| allows(one.role) && one.scope.covers(scope))
    }

    /// Whether there may be something in `scope` that it reads.
    pub(crate) fn sees(&self, scope: &Scope) -> bool {
        self.assignments
            .iter()
            .any(|one| one.role.reads() && (one.scope.covers(scope) || scope.covers(&one.scope)))
    }

    /// Whether it is the agent of the cluster that `scope` is.
    pub(crate) fn is_agent_of(&self, scope: &Scope) -> bool {
        self.assignments
            .iter()
            .any(|one| one.role == Role::Agent && one.scope.is(scope))
    }
}

/// The credential of a new principal. Its text is shown once: the store keeps a digest alone.
#[derive(Clone, Debug)]
pub struct ClientSecret {
    id: Uuid,
    secret: Secret,
}

impl ClientSecret {
    /// The principal, the `client_id` of a request for a token.
    pub fn id(&self) -> Uuid {
        self.id
    }

    /// The `client_secret` of a request for a token.
    pub fn expose(&self) -> &str {
        self.secret.expose()
    }

    /// A new random secret of that principal, and the digest to keep.
    pub(crate) fn generate(id: Uuid) -> (Self, Digest) {
        let random = BASE64_URL_SAFE_NO_PAD.encode(rand::random::<[u8; 32]>());
        let secret = format!("{PREFIX}{random}");
        let digest = Digest::of(&secret);
        let secret = secret.into();
        (Self { id, secret }, digest)
    }
}

/// The SHA-256 of a secret, which is 256 random bits: nothing slower is needed.
pub(crate) struct Digest([u8; 32]);

impl Digest {
    pub(crate) fn of(secret: &str) -> Self {
        Self(Sha256::digest(secret.as_bytes()).into())
    }

    pub(crate) fn as_bytes(&self) -> &[u8] {
        &self.0
    }

    /// Compares in a time that does not depend on where they differ.
    pub(crate) fn matches(&self, kept: &[u8]) -> bool {
        self.0.ct_eq(kept).into()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_secret_matches_its_own_digest_alone_and_is_not_in_its_debug_text() {
        let id = Uuid::new_v4();
        let (secret, digest) = ClientSecret::generate(id);
        assert!(Digest::of(secret.expose()).matches(digest.as_bytes()));
        let (other, _) = ClientSecret::generate(id);
        assert!(!Digest::of(other.expose()).matches(digest.as_bytes()));
        assert!(!Digest::of(secret.expose()).matches(&[]));
        assert!(!format!("{secret:?}").contains(&secret.expose()[PREFIX.len()..]));
    }
}
