//! Roles and the scopes in which they hold, as in ARM.

use std::{fmt, str::FromStr};

use gitmoor_arm::{ArmId, ClusterId, IdError};
use uuid::{Uuid, uuid};

/// What a principal may do in a scope.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Role {
    /// What a contributor may, and to say who else may what.
    Owner,
    /// To read and to write resources.
    Contributor,
    /// To read resources.
    Reader,
    /// The data plane of one cluster, and nothing else.
    Agent,
}

impl Role {
    pub(crate) const ALL: [Self; 4] = [Self::Owner, Self::Contributor, Self::Reader, Self::Agent];

    /// The role as it is written on the command line and in the store.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Owner => "owner",
            Self::Contributor => "contributor",
            Self::Reader => "reader",
            Self::Agent => "agent",
        }
    }

    /// Whether it lets read resources.
    pub(crate) fn reads(self) -> bool {
        self != Self::Agent
    }

    /// Whether it lets write resources.
    pub(crate) fn writes(self) -> bool {
        matches!(self, Self::Owner | Self::Contributor)
    }

    /// The id of ARM's role of that name, which is the same in every directory; an agent's is none.
    pub(crate) fn definition(self) -> Option<Uuid> {
        Some(match self {
            Self::Owner => uuid!("8e3af657-a8ff-443c-a75c-2fe8c4bcb635"),
            Self::Contributor => uuid!("b24988ac-6180-42a0-ab88-20f7382dd24c"),
            Self::Reader => uuid!("acdd72a7-3385-48ef-bd42-f606fba81ae7"),
            Self::Agent => return None,
        })
    }

    /// The role of that id.
    pub(crate) fn of_definition(id: Uuid) -> Option<Self> {
        let mut all = Self::ALL.into_iter();
        all.find(|role| role.definition() == Some(id))
    }

    /// Whether it lets give and take roles.
    pub(crate) fn owns(self) -> bool {
        self == Self::Owner
    }
}

impl fmt::Display for Role {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// A text that names no role.
#[derive(Debug, thiserror::Error)]
#[error("`{0}` is no role: write `owner`, `contributor`, `reader` or `agent`")]
pub struct RoleError(String);

impl FromStr for Role {
    type Err = RoleError;

    fn from_str(text: &str) -> Result<Self, RoleError> {
        Self::ALL
            .into_iter()
            .find(|role| role.as_str() == text)
            .ok_or_else(|| RoleError(text.to_owned()))
    }
}

/// Where a role holds: everywhere, a subscription, a resource group or a cluster, and all that is
/// below it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Scope(Option<ArmId>);

impl Scope {
    /// The scope as it was written.
    pub fn as_str(&self) -> &str {
        self.0.as_ref().map_or("/", ArmId::as_str)
    }

    /// All that there is.
    pub(crate) const EVERYWHERE: Self = Self(None);

    fn segments(&self) -> impl Iterator<Item = &str> {
        self.0.iter().flat_map(ArmId::segments)
    }

    /// The subscription that it is or lies in; empty when it is everywhere.
    pub fn subscription(&self) -> &str {
        self.segments().nth(1).unwrap_or_default()
    }

    /// The resource group that it is or lies in.
    pub fn resource_group(&self) -> Option<&str> {
        self.segments().nth(3)
    }

    /// The resource group that it is or lies in, as a scope; itself when it lies in none.
    pub(crate) fn group(&self) -> Self {
        let group = self.resource_group().and_then(|group| {
            let text = format!(
                "/subscriptions/{}/resourceGroups/{group}",
                self.subscription()
            );
            text.parse().ok()
        });
        group.unwrap_or_else(|| self.clone())
    }

    /// Whether `other` is the same or lies in it.
    pub fn covers(&self, other: &Self) -> bool {
        let mut parts = other.segments();
        self.segments().all(|wanted| {
            parts
                .next()
                .is_some_and(|part| part.eq_ignore_ascii_case(wanted))
        })
    }

    /// Whether it is the same, whatever the case.
    pub(crate) fn is(&self, other: &Self) -> bool {
        self.covers(other) && other.covers(self)
    }
}

impl fmt::Display for Scope {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl From<&ClusterId> for Scope {
    fn from(cluster: &ClusterId) -> Self {
        Self(Some(cluster.arm_id().clone()))
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
        "`{0}` is no scope: write / for everything, or /subscriptions/{{id}}, then perhaps /resourceGroups/{{name}}, then perhaps the rest of a cluster's id"
    )]
    Shape(ArmId),
}

impl FromStr for Scope {
    type Err = ScopeError;

    fn from_str(text: &str) -> Result<Self, ScopeError> {
        if text == "/" {
            return Ok(Self::EVERYWHERE);
        }
        let id: ArmId = text.parse()?;
        let parts: Vec<&str> = id.segments().collect();
        match parts[..] {
            [_, _] => Ok(Self(Some(id))),
            [_, _, word, _] if word.eq_ignore_ascii_case("resourceGroups") => Ok(Self(Some(id))),
            [_, _, _, _, _, _, _, _] => {
                text.parse::<ClusterId>()?;
                Ok(Self(Some(id)))
            }
            _ => Err(ScopeError::Shape(id)),
        }
    }
}

/// A role in a scope.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Assignment {
    /// To do what.
    pub role: Role,
    /// Where.
    pub scope: Scope,
}

impl fmt::Display for Assignment {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} of {}", self.role, self.scope)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const CLUSTER: &str =
        "/subscriptions/s1/resourceGroups/g1/providers/Microsoft.Kubernetes/connectedClusters/c1";

    #[test]
    fn a_scope_covers_what_is_below_it_whatever_the_case() {
        let cluster: Scope = CLUSTER.parse().unwrap();
        let table = [
            ("/", true),
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
        let subscription: Scope = "/subscriptions/s1".parse().unwrap();
        assert!(!cluster.covers(&subscription));
        assert!(!subscription.covers(&Scope::EVERYWHERE));
    }

    #[test]
    fn what_is_no_scope_is_refused() {
        for text in [
            "",
            "//",
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
}
