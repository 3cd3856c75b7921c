//! What of an object's metadata tells whether someone changed what we applied.
//!
//! When anyone changes or removes a field that we applied, the server takes that field out of our
//! entry of `managedFields`, so that a hash of the entry changes if and only if something that we
//! own did. Foreign fields, status writes and autoscalers do not show.

use k8s_openapi::apimachinery::pkg::apis::meta::v1::{ManagedFieldsEntry, ObjectMeta};
use sha2::{Digest as _, Sha256};

/// A hash of our Apply entry: its `apiVersion`, `fieldsV1` and `time`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Fingerprint(pub u64);

/// What is known of a live object, from the answer to a write or from a watch.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Seen {
    /// `metadata.uid`; another one is another object.
    pub uid: u128,
    /// `metadata.resourceVersion`: larger is later, for objects of one kind.
    pub version: u64,
    /// Absent when we own nothing of it.
    pub fingerprint: Option<Fingerprint>,
    /// `metadata.generation`: moves when anyone changes what the object asks for; 0 for the kinds
    /// that have none.
    pub generation: i64,
    /// Whether the live object says that it is to be left alone.
    pub opted_out: bool,
}

impl Seen {
    /// Reads the metadata of an object, looking for the entry of a field manager. Nothing when the
    /// server left out what every stored object has.
    pub fn of(metadata: &ObjectMeta, manager: &str) -> Option<Self> {
        Some(Self {
            uid: parse_uid(metadata.uid.as_deref()?)?,
            version: metadata.resource_version.as_deref()?.parse().ok()?,
            fingerprint: fingerprint(metadata, manager),
            generation: metadata.generation.unwrap_or_default(),
            opted_out: opted_out(metadata),
        })
    }
}

/// The field manager other than `manager` that changed the object itself last, as far as the API
/// server tells: whoever only deletes fields leaves no entry.
pub fn changed_by(metadata: &ObjectMeta, manager: &str) -> Option<String> {
    let is_of_object =
        |entry: &&ManagedFieldsEntry| entry.subresource.as_deref().unwrap_or_default().is_empty();
    let entries = metadata.managed_fields.iter().flatten();
    let last = entries.filter(is_of_object).max_by_key(|entry| {
        (
            entry.time.as_ref().map(|time| time.0),
            entry.manager.as_deref() != Some(manager),
        )
    })?;
    last.manager.clone().filter(|last| last != manager)
}

/// Whether an object's annotations say that it is to be left as it is: `gitmoor.io/sync: ignore`, or
/// what means that in Flux v1.
fn opted_out(metadata: &ObjectMeta) -> bool {
    let annotations = metadata.annotations.as_ref();
    let has = |name: &str, wanted: &str| {
        let value = annotations.and_then(|annotations| annotations.get(name));
        value.is_some_and(|value| value == wanted)
    };
    has("gitmoor.io/sync", "ignore") || has("fluxcd.io/ignore", "true")
}

/// A uid as a number: a UUID without its dashes.
pub fn parse_uid(uid: &str) -> Option<u128> {
    if uid.len() != 36 {
        return None;
    }
    u128::from_str_radix(&uid.replace('-', ""), 16).ok()
}

/// A uid as the server writes it.
pub fn write_uid(uid: u128) -> String {
    let text = format!("{uid:032x}");
    [
        &text[..8],
        &text[8..12],
        &text[12..16],
        &text[16..20],
        &text[20..],
    ]
    .join("-")
}

fn fingerprint(metadata: &ObjectMeta, manager: &str) -> Option<Fingerprint> {
    let entry = metadata.managed_fields.as_ref()?.iter().find(|entry| {
        entry.manager.as_deref() == Some(manager)
            && entry.operation.as_deref() == Some("Apply")
            && entry.subresource.as_deref().unwrap_or_default().is_empty()
    })?;
    let mut hash = Sha256::new();
    hash.update(entry.api_version.as_deref().unwrap_or_default());
    hash.update([0]);
    if let Some(time) = &entry.time {
        hash.update(time.0.to_string());
    }
    hash.update([0]);
    if let Some(fields) = &entry.fields_v1 {
        hash.update(fields.0.to_string());
    }
    let hash = hash.finalize();
    let (first, _) = hash.split_at(8);
    Some(Fingerprint(u64::from_be_bytes(
        first.try_into().expect("eight bytes are eight bytes"),
    )))
}
