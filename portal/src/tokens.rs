//! Tokens: who may call and what they reach. A *principal* reads or writes ARM resources in a
//! *scope*; a *cluster's token* reaches that cluster's data plane and nothing else. Tokens are made,
//! listed and revoked on the database itself ([`Store`](crate::Store)), never over the network.

use std::{fmt, str::FromStr};

use base64::{Engine as _, prelude::BASE64_URL_SAFE_NO_PAD};
use gitmoor_arm::{ArmId, ClusterId, IdError, Secret, Timestamp};
use sha2::{Digest as _, Sha256};
use subtle::ConstantTimeEq as _;
use uuid::Uuid;

/// What a token's text begins with, so that scanners for leaked secrets can tell it.
const PREFIX: &str = "gitmoor";

/// What a principal may do in its scope.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Role {
    /// GET and LIST.
    Reader,
    /// The same, PUT and DELETE.
    Contributor,
}

impl Role {
    /// The role as it is written on the command line and in the store.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Reader => "reader",
            Self::Contributor => "contributor",
        }
    }
}

impl fmt::Display for Role {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// A text that names no role.
#[derive(Debug, thiserror::Error)]
#[error("`{0}` is no role: write `reader` or `contributor`")]
pub struct RoleError(String);

impl FromStr for Role {
    type Err = RoleError;

    fn from_str(text: &str) -> Result<Self, RoleError> {
        [Self::Reader, Self::Contributor]
            .into_iter()
            .find(|role| role.as_str() == text)
            .ok_or_else(|| RoleError(text.to_owned()))
    }
}

/// Where a principal's role holds: a subscription, a resource group or a cluster, and all that is
/// below it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Scope(ArmId);

impl Scope {
    /// The scope as it was written.
    pub fn as_str(&self) -> &str {
        self.0.as_str()
    }

    /// Whether `cluster` lies in it.
    pub fn covers(&self, cluster: &ClusterId) -> bool {
        let mut parts = cluster.arm_id().segments();
        self.0.segments().all(|wanted| {
            parts
                .next()
                .is_some_and(|part| part.eq_ignore_ascii_case(wanted))
        })
    }
}

impl fmt::Display for Scope {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// A text that names no scope.
#[derive(Debug, thiserror::Error)]
pub enum ScopeError {
    /// It is no ARM id.
    #[error(transparent)]
    Id(#[from] IdError),
    /// It is the id of something else.
    #[error(
        "`{0}` is no scope: write /subscriptions/{{id}}, then perhaps /resourceGroups/{{name}}, then perhaps the rest of a cluster's id"
    )]
    Shape(ArmId),
}

impl FromStr for Scope {
    type Err = ScopeError;

    fn from_str(text: &str) -> Result<Self, ScopeError> {
        let id: ArmId = text.parse()?;
        let parts: Vec<&str> = id.segments().collect();
        match parts[..] {
            [_, _] => Ok(Self(id)),
            [_, _, word, _] if word.eq_ignore_ascii_case("resourceGroups") => Ok(Self(id)),
            [_, _, _, _, _, _, _, _] => {
                text.parse::<ClusterId>()?;
                Ok(Self(id))
            }
            _ => Err(ScopeError::Shape(id)),
        }
    }
}

/// What a token gives a right to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Grant {
    /// ARM resources.
    Principal {
        /// Where.
        scope: Scope,
        /// To do what.
        role: Role,
    },
    /// The data plane of one cluster.
    Cluster(ClusterId),
}

/// What the store knows of a token: everything but the token itself.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TokenRecord {
    /// Its id, by which it is revoked.
    pub id: Uuid,
    /// Whose it is; `systemData` shows it.
    pub name: String,
    /// What it gives a right to.
    pub grant: Grant,
    /// When it was made.
    pub created_at: Timestamp,
}

/// A new token. Its text is shown once: the store keeps the SHA-256 of its secret part alone.
#[derive(Clone, Debug)]
pub struct Token {
    id: Uuid,
    text: Secret,
}

impl Token {
    /// Its id, by which it is revoked.
    pub fn id(&self) -> Uuid {
        self.id
    }

    /// The text that follows `Bearer` in a request.
    pub fn expose(&self) -> &str {
        self.text.expose()
    }

    /// A new random token and the digest to keep.
    pub(crate) fn generate() -> (Self, Digest) {
        let id = Uuid::new_v4();
        let secret = BASE64_URL_SAFE_NO_PAD.encode(rand::random::<[u8; 32]>());
        let token = Self {
            id,
            text: format!("{PREFIX}.{}.{secret}", id.simple()).into(),
        };
        (token, Digest::of(&secret))
    }
}

/// The SHA-256 of the secret part of a token.
pub(crate) struct Digest([u8; 32]);

impl Digest {
    fn of(secret: &str) -> Self {
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

/// A token as a caller presents it: the id to look up and the digest to compare. `None` when the
/// text cannot be one of ours.
pub(crate) fn parse(text: &str) -> Option<(Uuid, Digest)> {
    let (prefix, rest) = text.split_once('.')?;
    let (id, secret) = rest.split_once('.')?;
    let id = Uuid::try_parse(id).ok().filter(|_| prefix == PREFIX)?;
    Some((id, Digest::of(secret)))
}

#[cfg(test)]
mod tests {
    use super::*;

    const CLUSTER: &str =
        "/subscriptions/s1/resourceGroups/g1/providers/Microsoft.Kubernetes/connectedClusters/c1";

    #[test]
    fn a_scope_covers_what_is_below_it_whatever_the_case() {
        let cluster: ClusterId = CLUSTER.parse().unwrap();
        let table = [
            ("/subscriptions/s1", true),
            ("/SUBSCRIPTIONS/S1", true),
            ("/subscriptions/s", false),
            ("/subscriptions/s11", false),
            ("/subscriptions/s1/resourcegroups/G1", true),
            ("/subscriptions/s1/resourceGroups/g", false),
            ("/subscriptions/s2/resourceGroups/g1", false),
            (&CLUSTER.to_lowercase(), true),
            (&CLUSTER.replace("c1", "c2"), false),
        ];
        for (scope, covers) in table {
            let scope: Scope = scope.parse().unwrap();
            assert_eq!(scope.covers(&cluster), covers, "{scope}");
        }
    }

    #[test]
    fn what_is_no_scope_is_refused() {
        for text in [
            "",
            "/",
            "/subscriptions",
            "/subscriptions/",
            "/subscriptions/s/providers/p",
            "/subscriptions/s/resourceGroups/g/providers/p",
            "/subscriptions/s/resourceGroups/g/providers/Microsoft.Storage/accounts/a",
            &format!("{CLUSTER}/providers/p"),
        ] {
            assert!(text.parse::<Scope>().is_err(), "{text}");
        }
    }

    #[test]
    fn a_presented_token_matches_its_own_digest_alone() {
        let (token, digest) = Token::generate();
        let (id, presented) = parse(token.expose()).unwrap();
        assert_eq!(id, token.id());
        assert!(presented.matches(digest.as_bytes()));

        let (other, _) = Token::generate();
        let (_, presented) = parse(other.expose()).unwrap();
        assert!(!presented.matches(digest.as_bytes()));
        assert!(!presented.matches(&[]));
    }

    #[test]
    fn a_token_is_not_in_its_debug_text() {
        let (token, _) = Token::generate();
        let secret = token.expose().rsplit('.').next().unwrap().to_owned();
        assert!(!format!("{token:?}").contains(&secret));
    }
}
