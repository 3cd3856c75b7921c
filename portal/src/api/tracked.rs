//! What bodies of resources with a place of their own have in common: `location` and `tags`.

use std::collections::BTreeMap;

use gitmoor_arm::FieldError;
use serde_json::{Map, Value};

use super::refusal::Refusal;

/// ARM's bounds of tags, in characters.
pub(super) const MAX_TAGS: usize = 50;
pub(super) const MAX_TAG_NAME: usize = 512;
pub(super) const MAX_TAG_VALUE: usize = 256;

/// The longest location, in characters.
pub(super) const MAX_LOCATION: usize = 90;

/// A location: such as `West Europe`, or any other text without control characters.
pub(super) const LOCATION: &str = "^[^\\x00-\\x1f\\x7f-\\x9f]+$";

/// A body that was read, and what is wrong with its tags.
#[derive(Debug)]
pub(super) struct Body {
    pub(super) fields: Map<String, Value>,
    tags: Result<Option<BTreeMap<String, String>>, Vec<FieldError>>,
}

/// Reads the body of PUT or PATCH.
pub(super) fn read(body: &[u8]) -> Result<Body, Refusal> {
    let Ok(Value::Object(fields)) = serde_json::from_slice(body) else {
        return Err(Refusal::invalid(&[error("body", "an object is needed")]));
    };
    let tags = tags(&fields);
    Ok(Body { fields, tags })
}

impl Body {
    /// The tags; nothing when the body does not speak of them.
    pub(super) fn tags(self) -> Result<Option<BTreeMap<String, String>>, Refusal> {
        self.tags.map_err(|errors| Refusal::invalid(&errors))
    }

    /// Where it is, and its tags; all that is wrong with them and, as `others`, with the rest.
    pub(super) fn placed(
        self,
        others: Vec<FieldError>,
    ) -> Result<(String, BTreeMap<String, String>), Refusal> {
        let (tags, mut errors) = match self.tags {
            Ok(tags) => (tags.unwrap_or_default(), Vec::new()),
            Err(errors) => (BTreeMap::new(), errors),
        };
        errors.extend(others);
        let location = match self.fields.get("location") {
            Some(Value::String(text)) if is_location(text) => text.clone(),
            Some(Value::Null) | None if errors.is_empty() => return Err(Refusal::no_location()),
            Some(Value::String(text)) if text.is_empty() && errors.is_empty() => {
                return Err(Refusal::no_location());
            }
            _ => {
                let message = format!(
                    "a text of 1 to {MAX_LOCATION} characters is needed, none of them a control character"
                );
                errors.push(error("location", &message));
                String::new()
            }
        };
        if errors.is_empty() {
            Ok((location, tags))
        } else {
            Err(Refusal::invalid(&errors))
        }
    }
}

/// Whether it is as [`LOCATION`] says.
fn is_location(text: &str) -> bool {
    !text.is_empty() && text.chars().count() <= MAX_LOCATION && !text.contains(char::is_control)
}

pub(super) fn error(field: &str, message: &str) -> FieldError {
    FieldError {
        field: field.to_owned(),
        message: message.to_owned(),
    }
}

fn tags(fields: &Map<String, Value>) -> Result<Option<BTreeMap<String, String>>, Vec<FieldError>> {
    let given = match fields.get("tags") {
        None => return Ok(None),
        Some(Value::Null) => return Ok(Some(BTreeMap::new())),
        Some(Value::Object(given)) => given,
        Some(_) => return Err(vec![error("tags", "an object is needed")]),
    };
    let mut errors = Vec::new();
    if given.len() > MAX_TAGS {
        errors.push(error("tags", &format!("there may be at most {MAX_TAGS}")));
    }
    let mut tags = BTreeMap::new();
    for (name, value) in given {
        let field: String = format!("tags.{name}").chars().take(64).collect();
        match value {
            Value::String(value) if value.chars().count() <= MAX_TAG_VALUE => {
                tags.insert(name.clone(), value.clone());
            }
            Value::Null => {
                tags.insert(name.clone(), String::new());
            }
            _ => errors.push(error(
                &field,
                &format!("a text of at most {MAX_TAG_VALUE} characters is needed"),
            )),
        }
        let bad = |c: char| c.is_control() || "<>%&\\?/".contains(c);
        if name.is_empty() || name.chars().count() > MAX_TAG_NAME || name.contains(bad) {
            errors.push(error(
                &field,
                "a name may not be empty or too long, nor hold any of < > % & \\ ? /",
            ));
        }
    }
    if errors.is_empty() {
        Ok(Some(tags))
    } else {
        Err(errors)
    }
}
