//! Metadata of objects that others may have made, read from JSON however deep it is nested: the
//! fields in `managedFields` are as deep as the object, and whoever creates one with our label must
//! not end our watch with it.

use std::collections::BTreeMap;

use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use serde::Deserialize;
use serde_json::{Error, Map, Value, value::RawValue};

/// An object, of which only this is read.
#[derive(Deserialize)]
struct Partial<M> {
    #[serde(default)]
    kind: String,
    #[serde(default)]
    metadata: M,
}

/// The members of an object, as they are written.
type Raw = BTreeMap<String, Box<RawValue>>;

/// The kind and the metadata of an object. Of one that is nested deeper than other JSON may be, the
/// fields in `managedFields` are text: they can be compared, and not looked into.
///
/// # Errors
/// When it is not JSON, or no object.
pub fn read(object: &[u8]) -> Result<(String, ObjectMeta), Error> {
    let error = match serde_json::from_slice(object) {
        Ok(Partial { kind, metadata }) => return Ok((kind, metadata)),
        Err(error) => error,
    };
    match serde_json::from_slice::<Partial<Raw>>(object) {
        Ok(Partial { kind, metadata }) => Ok((kind, shallow(metadata)?)),
        Err(_) => Err(error),
    }
}

fn shallow(mut metadata: Raw) -> Result<ObjectMeta, Error> {
    let managed_fields = metadata.remove("managedFields");
    let mut object = values(&metadata)?;
    if let Some(entries) = managed_fields {
        let entries: Vec<Raw> = serde_json::from_str(entries.get())?;
        let entries = entries.into_iter().map(|mut entry| {
            let fields = entry.remove("fieldsV1");
            let mut entry = values(&entry)?;
            if let Some(fields) = fields {
                entry.insert("fieldsV1".to_owned(), fields.get().into());
            }
            Ok(Value::Object(entry))
        });
        let entries = entries.collect::<Result<_, Error>>()?;
        object.insert("managedFields".to_owned(), Value::Array(entries));
    }
    serde_json::from_value(Value::Object(object))
}

fn values(members: &Raw) -> Result<Map<String, Value>, Error> {
    let members = members.iter();
    members
        .map(|(name, value)| Ok((name.clone(), serde_json::from_str(value.get())?)))
        .collect()
}
