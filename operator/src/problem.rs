//! What is wrong with a place in the repository, as a value: a commit has all its problems at once.

use std::fmt;

use crate::ObjectKey;

/// Something that is wrong with a place in the repository or with the object that it declares.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Problem {
    /// The file, from the root of the repository; empty when it is not about a file.
    pub path: String,
    /// The line in it, from 1.
    pub line: Option<u32>,
    /// The object, where it is known.
    pub object: Option<ObjectKey>,
    /// What sort of problem it is.
    pub reason: Reason,
    /// What is wrong and what to do, for a person.
    pub message: String,
}

/// The sorts of problems. Their names are stable: scripts and alerts use them.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Reason {
    /// The file is no YAML or JSON that `kubectl` would take.
    InvalidYaml,
    /// The document is no Kubernetes object: `apiVersion`, `kind` or `metadata.name` is missing or
    /// not text.
    NotAnObject,
    /// A document is no Kubernetes object and does not claim to be one: it has neither `apiVersion`
    /// nor `kind`.
    NoKind,
    /// An annotation of ours has a value that it cannot have.
    BadAnnotation,
    /// The file or document is larger, deeper or more numerous than the limits.
    TooLarge,
    /// Text behind the end of a document, which is not read.
    NotRead,
    /// A key stands twice in one map; the later one was taken, as `kubectl` does.
    DuplicateKey,
    /// One object is declared in two places.
    DuplicateObject,
    /// A file of another tool: a `kustomization.yaml`, a Helm chart, a template.
    OtherTool,
    /// The file is encrypted by SOPS.
    Encrypted,
    /// `generateName`, which names another object at each apply.
    GeneratedName,
    /// A value that only the server may fill in was left out.
    ServerField,
    /// A line of a `.gitmoorignore` that is no pattern.
    BadIgnore,
    /// A symbolic link that leads out of the repository, in a circle or to nothing; a submodule.
    BadLink,
    /// A path of the configuration is not in the commit.
    PathNotFound,
    /// The blob cannot be read from the Git store.
    Unreadable,
    /// The cluster does not know the kind.
    UnknownKind,
    /// The kind exists, but not in this version.
    UnknownVersion,
    /// The API server says that the operator may not.
    Forbidden,
    /// The API server refused the object.
    Invalid,
    /// A field that cannot be changed would have to be.
    Immutable,
    /// The object, or one of its fields, belongs to someone else.
    Conflict,
    /// The live object is not as it was applied, and is left so.
    Drift,
    /// Somebody changes the live object back again and again.
    Fight,
    /// The object's namespace does not exist.
    NamespaceNotFound,
    /// Something that this object needs has a problem of its own.
    Blocked,
    /// The API server did not answer, or asked to come later: it is tried again by itself.
    Unavailable,
    /// What the API server must ask about the object does not answer, a webhook or the server of its
    /// kind: it is tried again by itself.
    Unanswered,
    /// The object is as declared, but not healthy, or not in time.
    Unhealthy,
    /// An object is being deleted, and stays until its finalizers are done.
    Lingers,
    /// An object that should be deleted is still there.
    NotPruned,
    /// A deletion was held back by a guard.
    Guarded,
    /// A deletion waits for what another configuration declares.
    PrunePostponed,
}

impl Reason {
    /// The word in status, events and logs.
    pub fn name(self) -> &'static str {
        match self {
            Self::InvalidYaml => "InvalidYaml",
            Self::NotAnObject => "NotAnObject",
            Self::NoKind => "NoKind",
            Self::BadAnnotation => "BadAnnotation",
            Self::TooLarge => "TooLarge",
            Self::NotRead => "NotRead",
            Self::DuplicateKey => "DuplicateKey",
            Self::DuplicateObject => "DuplicateObject",
            Self::OtherTool => "OtherTool",
            Self::Encrypted => "Encrypted",
            Self::GeneratedName => "GeneratedName",
            Self::ServerField => "ServerField",
            Self::BadIgnore => "BadIgnore",
            Self::BadLink => "BadLink",
            Self::PathNotFound => "PathNotFound",
            Self::Unreadable => "Unreadable",
            Self::UnknownKind => "UnknownKind",
            Self::UnknownVersion => "UnknownVersion",
            Self::Forbidden => "Forbidden",
            Self::Invalid => "Invalid",
            Self::Immutable => "Immutable",
            Self::Conflict => "Conflict",
            Self::Drift => "Drift",
            Self::Fight => "Fight",
            Self::NamespaceNotFound => "NamespaceNotFound",
            Self::Blocked => "Blocked",
            Self::Unavailable => "Unavailable",
            Self::Unanswered => "Unanswered",
            Self::Unhealthy => "Unhealthy",
            Self::Lingers => "Lingers",
            Self::NotPruned => "NotPruned",
            Self::Guarded => "Guarded",
            Self::PrunePostponed => "PrunePostponed",
        }
    }

    /// Whether an object may be declared at this place without our seeing it. Nothing is pruned
    /// while such a problem stands.
    pub fn hides_objects(self) -> bool {
        matches!(
            self,
            Self::InvalidYaml
                | Self::NotAnObject
                | Self::TooLarge
                | Self::NotRead
                | Self::Encrypted
                | Self::BadLink
                | Self::PathNotFound
                | Self::Unreadable
        )
    }

    /// Whether it tells nothing of its object, but of the way to the API server: what else a sync
    /// would do may be as wrong, and nothing is pruned.
    pub fn is_of_the_server(self) -> bool {
        self == Self::Unavailable
    }

    /// Whether it is about what the watches show, and not about what a sync did.
    pub fn is_of_drift(self) -> bool {
        matches!(self, Self::Drift | Self::Fight)
    }

    /// Whether it is a remark only: the objects at this place are applied all the same, and the
    /// configuration is `Ready` with it.
    pub fn is_warning(self) -> bool {
        matches!(
            self,
            Self::NotRead
                | Self::DuplicateKey
                | Self::NoKind
                | Self::OtherTool
                | Self::ServerField
                | Self::Lingers
                | Self::PrunePostponed
        )
    }
}

impl fmt::Display for Reason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}
