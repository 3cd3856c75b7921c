//! What bodies of resources with a place of their own have in common: `location` and `tags`.

use std::collections::BTreeMap;

use gitmoor_arm::FieldError;
use serde_json::{Map, Value};

use super::refusal::Refusal;

/// ARM's bounds of tags.
const MAX_TAGS: usize = 50;
const MAX_TAG_NAME: usize = 512;
const MAX_TAG_VALUE: usize = 256;

/// The longest location.
const MAX_LOCATION: usize = 90;

/// A body that was read, and what is wrong with its common fields.
#[derive(Debug)]
pub(super) struct Body {
    pub(super) fields: Map<String, Value>,
    tags: Option<BTreeMap<String, String>>,
}

/// Reads the body of PUT or PATCH.
pub(super) fn read(body: &[u8]) -> Result<Body, Refusal> {
    let Ok(Value::Object(fields)) = serde_json::from_slice(body) else {
        return Err(Refusal::invalid(&[error("body", "an object is needed")]));
    };
    let tags = tags(&fields).map_err(|errors| Refusal::invalid(&errors))?;
    Ok(Body { fields, tags })
}

impl Body {
    /// The tags; nothing when the body does not speak of them.
    pub(super) fn tags(&self) -> Option<BTreeMap<String, String>> {
        self.tags.clone()
    }

    /// Where it is.
    pub(super) fn location(&self) -> Result<String, Refusal> {
        match self.fields.get("location") {
            Some(Value::String(text)) if !text.is_empty() && text.len() <= MAX_LOCATION => {
                Ok(text.clone())
            }
            Some(Value::String(_) | Value::Null) | None => Err(Refusal::no_location()),
            Some(_) => Err(Refusal::invalid(&[error("location", "a text is needed")])),
        }
    }
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
            Value::String(value) if value.len() <= MAX_TAG_VALUE => {
                tags.insert(name.clone(), value.clone());
            }
            Value::Null => {
                tags.insert(name.clone(), String::new());
            }
            _ => errors.push(error(
                &field,
                &format!("a text of at most {MAX_TAG_VALUE} bytes is needed"),
            )),
        }
        let bad = |c: char| c.is_control() || "<>%&\\?/".contains(c);
        if name.is_empty() || name.len() > MAX_TAG_NAME || name.contains(bad) {
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
