//! The names by which objects say whose they are: the field manager, the label, the annotation.

use std::fmt;

use sha2::{Digest as _, Sha256};

use crate::{ObjectKey, read::Digest};

/// The annotation on what the operator keeps for a configuration: the uid of that, by which what one
/// of the same name has left is known.
pub(crate) const CONFIGURATION_UID: &str = "gitmoor.io/configuration-uid";

/// The API server refuses longer field managers.
const MANAGER_LIMIT: usize = 128;

/// The API server refuses longer label values.
const LABEL_LIMIT: usize = 63;

/// The field manager of a configuration: `gitmoor:<namespace>:<name>`, or with a hash in place of
/// both where that is too long.
pub fn field_manager(namespace: &str, name: &str) -> String {
    let manager = format!("gitmoor:{namespace}:{name}");
    if manager.len() <= MANAGER_LIMIT {
        manager
    } else {
        format!("gitmoor:{}", hash(namespace, name))
    }
}

/// The value of the label `gitmoor.io/configuration`: `<namespace>.<name>`, or a hash of both where
/// that is too long.
pub fn label(namespace: &str, name: &str) -> String {
    let label = format!("{namespace}.{name}");
    if label.len() <= LABEL_LIMIT {
        label
    } else {
        hash(namespace, name)
    }
}

/// The Secret with the deploy key of a configuration. The name carries the namespace too: those of
/// every cluster-scoped operator lie in one.
pub fn deploy_key(namespace: &str, name: &str) -> String {
    format!("gitmoor-deploy-key.{namespace}.{name}")
}

/// 40 hexadecimal digits. A namespace has no dot, so that two pairs never have one text.
pub fn hash(namespace: &str, name: &str) -> String {
    let hash = Sha256::digest(format!("{namespace}.{name}"));
    hash[..20]
        .iter()
        .map(|byte| format!("{byte:02x}"))
        .collect()
}

/// The value of the annotation `gitmoor.io/origin`: the object that was applied, the file that
/// declared it, and the digest of what it declared. A label that was copied to another object names
/// the wrong object here, and so claims nothing.
pub struct Origin<'a> {
    /// What was applied.
    pub object: &'a ObjectKey,
    /// From which file.
    pub path: &'a str,
    /// What the file said.
    pub digest: Digest,
}

impl fmt::Display for Origin<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} from {} {}", self.object, self.path, self.digest)
    }
}

/// Whether the value of an origin annotation names this very object.
pub fn origin_names(value: &str, object: &ObjectKey) -> bool {
    value
        .strip_prefix(&object.to_string())
        .is_some_and(|rest| rest.starts_with(" from "))
}
