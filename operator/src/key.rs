//! Which object: by group, kind, namespace and name. The version is not part of it, since the same
//! object can be read and written in several.

use std::{fmt, sync::Arc};

/// How many of many objects a sentence names.
const NAMED: usize = 5;

/// The identity of an object in a cluster.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ObjectKey {
    /// The API group; empty for the core group.
    pub group: Arc<str>,
    /// The kind, such as `Deployment`.
    pub kind: Arc<str>,
    /// The namespace; absent for an object of the cluster.
    pub namespace: Option<Arc<str>>,
    /// The name.
    pub name: Arc<str>,
}

impl fmt::Display for ObjectKey {
    /// As `kubectl` names kinds: `Deployment.apps shop/front`, `Namespace shop`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.kind)?;
        if !self.group.is_empty() {
            write!(f, ".{}", self.group)?;
        }
        f.write_str(" ")?;
        if let Some(namespace) = &self.namespace {
            write!(f, "{namespace}/")?;
        }
        f.write_str(&self.name)
    }
}

/// The first of many objects, and how many more there are, for a sentence.
pub(crate) fn some_of<'a>(objects: impl ExactSizeIterator<Item = &'a ObjectKey>) -> String {
    let more = objects.len().saturating_sub(NAMED);
    let named: Vec<String> = objects.take(NAMED).map(ToString::to_string).collect();
    let named = named.join(", ");
    match more {
        0 => named,
        more => format!("{named} and {more} more"),
    }
}
