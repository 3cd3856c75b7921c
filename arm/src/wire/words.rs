//! ARM's enumerations. All of them are open (`modelAsString`): a word that this version does not
//! know is kept as it is, and words are read without regard to case.

use std::{borrow::Cow, fmt};

use serde::{Deserialize, Deserializer, Serialize, Serializer};

macro_rules! words {
    ($($(#[$doc:meta])* $name:ident { $($(#[$word_doc:meta])* $word:ident = $text:literal,)* })*) => {$(
        $(#[$doc])*
        #[derive(Clone, Debug, PartialEq, Eq, Hash)]
        pub enum $name {
            $($(#[$word_doc])* $word,)*
            /// A word that this version does not know.
            Other(String),
        }

        impl $name {
            /// The word as it is on the wire.
            pub fn as_str(&self) -> &str {
                match self {
                    $(Self::$word => $text,)*
                    Self::Other(text) => text,
                }
            }
        }

        impl From<&str> for $name {
            fn from(text: &str) -> Self {
                $(if text.eq_ignore_ascii_case($text) {
                    return Self::$word;
                })*
                Self::Other(text.to_owned())
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(self.as_str())
            }
        }

        impl Serialize for $name {
            fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                serializer.serialize_str(self.as_str())
            }
        }

        impl<'de> Deserialize<'de> for $name {
            fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                Ok(Cow::<'de, str>::deserialize(deserializer)?.as_ref().into())
            }
        }
    )*};
}

words! {
    /// What kind of operator a configuration asks for.
    OperatorType {
        /// Flux v1, whose place Gitmoor takes.
        Flux = "Flux",
    }

    /// How far the rights of an operator reach.
    OperatorScope {
        /// The whole cluster.
        Cluster = "cluster",
        /// The operator's own namespace.
        Namespace = "namespace",
    }

    /// The state of ARM's record, not of the cluster.
    ProvisioningState {
        /// The request was taken.
        Accepted = "Accepted",
        /// The record is being deleted.
        Deleting = "Deleting",
        /// The request is being worked on.
        Running = "Running",
        /// The record is as it was asked for.
        Succeeded = "Succeeded",
        /// The record could not be made.
        Failed = "Failed",
    }

    /// What became of a configuration in its cluster. Clients show `Compliant` as `Installed` and
    /// `Noncompliant` as `Failed`.
    ComplianceState {
        /// New, or being worked on.
        Pending = "Pending",
        /// The cluster is what the repository says.
        Compliant = "Compliant",
        /// It is not; the message says why.
        Noncompliant = "Noncompliant",
        /// An older word for `Compliant`.
        Installed = "Installed",
        /// An older word for `Noncompliant`.
        Failed = "Failed",
    }

    /// How serious the message of a compliance status is.
    MessageLevel {
        /// Something failed.
        Error = "Error",
        /// Something wants attention.
        Warning = "Warning",
        /// All is well.
        Information = "Information",
    }

    /// Who made a change, as a kind.
    IdentityType {
        /// A person.
        User = "User",
        /// A service principal.
        Application = "Application",
        /// A managed identity.
        ManagedIdentity = "ManagedIdentity",
        /// An access key.
        Key = "Key",
    }
}
