//! Whether two things that are sent would be the same. For this process alone: another one may
//! hash differently.

use std::hash::{DefaultHasher, Hash as _, Hasher as _};

use serde::Serialize;

/// The hash of a value's JSON.
pub(crate) fn digest(value: &impl Serialize) -> u64 {
    let json = serde_json::to_vec(value).expect("what is sent is plain data");
    let mut hasher = DefaultHasher::new();
    json.hash(&mut hasher);
    hasher.finish()
}
