//! Fields of an object of which nothing is certain. One that is absent or null is none; one of
//! another type than it can have is an error, and the object cannot be judged.

use serde_json::Value;

/// The object is not as its kind is.
#[derive(Debug, thiserror::Error)]
pub(super) enum Wrong {
    #[error("it cannot be judged: it has no {0}")]
    Missing(&'static str),
    #[error("it cannot be judged: {path} is not {expected}")]
    Type {
        path: String,
        expected: &'static str,
    },
}

fn wrong(path: &str, expected: &'static str) -> Wrong {
    let path = match path {
        "" => "the document",
        path => path,
    };
    let path = path.to_owned();
    Wrong::Type { path, expected }
}

/// Whatever is at a path, with dots between the names.
pub(super) fn any<'a>(object: &'a Value, path: &str) -> Result<Option<&'a Value>, Wrong> {
    let mut value = object;
    let mut walked = 0;
    for name in path.split('.') {
        value = match value {
            Value::Object(fields) => match fields.get(name) {
                None | Some(Value::Null) => return Ok(None),
                Some(value) => value,
            },
            _ => return Err(wrong(path[..walked].trim_end_matches('.'), "an object")),
        };
        walked += name.len() + 1;
    }
    Ok(Some(value))
}

pub(super) fn number(object: &Value, path: &str) -> Result<Option<i64>, Wrong> {
    let expected = || wrong(path, "a whole number");
    any(object, path)?
        .map(|value| value.as_i64().ok_or_else(expected))
        .transpose()
}

/// A number that is left out where it is none: the counts of a status are.
pub(super) fn count(object: &Value, path: &str) -> Result<i64, Wrong> {
    Ok(number(object, path)?.unwrap_or(0))
}

pub(super) fn text<'a>(object: &'a Value, path: &str) -> Result<Option<&'a str>, Wrong> {
    let expected = || wrong(path, "a text");
    any(object, path)?
        .map(|value| value.as_str().ok_or_else(expected))
        .transpose()
}

pub(super) fn flag(object: &Value, path: &str) -> Result<bool, Wrong> {
    let expected = || wrong(path, "true or false");
    any(object, path)?.map_or(Ok(false), |value| value.as_bool().ok_or_else(expected))
}

pub(super) fn list<'a>(object: &'a Value, path: &str) -> Result<&'a [Value], Wrong> {
    match any(object, path)? {
        None => Ok(&[]),
        Some(Value::Array(items)) => Ok(items),
        Some(_) => Err(wrong(path, "a list")),
    }
}

/// A list of objects.
pub(super) fn objects<'a>(object: &'a Value, path: &str) -> Result<&'a [Value], Wrong> {
    let items = list(object, path)?;
    match items.iter().position(|item| !item.is_object()) {
        None => Ok(items),
        Some(index) => Err(wrong(&format!("{path}[{index}]"), "an object")),
    }
}

/// What an object says of itself in `status.conditions`.
pub(super) struct Conditions<'a>(Vec<Condition<'a>>);

/// One of them.
pub(super) struct Condition<'a> {
    pub(super) kind: &'a str,
    pub(super) status: &'a str,
    pub(super) reason: &'a str,
    pub(super) observed_generation: Option<i64>,
    message: &'a str,
}

impl<'a> Conditions<'a> {
    pub(super) fn of(object: &'a Value) -> Result<Self, Wrong> {
        let mut conditions = Vec::new();
        for (index, one) in objects(object, "status.conditions")?.iter().enumerate() {
            let at = |wrong| match wrong {
                Wrong::Type { path, expected } => {
                    self::wrong(&format!("status.conditions[{index}].{path}"), expected)
                }
                missing @ Wrong::Missing(_) => missing,
            };
            let text = |field| Ok(text(one, field).map_err(at)?.unwrap_or(""));
            conditions.push(Condition {
                kind: text("type")?,
                status: text("status")?,
                reason: text("reason")?,
                observed_generation: number(one, "observedGeneration").map_err(at)?,
                message: text("message")?,
            });
        }
        Ok(Self(conditions))
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = &Condition<'a>> {
        self.0.iter()
    }

    pub(super) fn find(&self, kind: &str) -> Option<&Condition<'a>> {
        self.iter().find(|one| one.kind == kind)
    }

    /// The condition where it is `True`.
    pub(super) fn holds(&self, kind: &str) -> Option<&Condition<'a>> {
        self.iter().find(|one| one.kind == kind && one.is_true())
    }

    /// The condition where it is `False`.
    pub(super) fn denies(&self, kind: &str) -> Option<&Condition<'a>> {
        self.iter()
            .find(|one| one.kind == kind && one.status == "False")
    }
}

impl Condition<'_> {
    pub(super) fn is_true(&self) -> bool {
        self.status == "True"
    }

    /// Its own words, or others when it has none.
    pub(super) fn told(&self, otherwise: &str) -> String {
        told(self.reason, self.message).unwrap_or_else(|| otherwise.to_owned())
    }
}

/// A reason and a message of the cluster in one.
pub(super) fn told(reason: &str, message: &str) -> Option<String> {
    match (reason, message.trim()) {
        ("", "") => None,
        ("", message) => Some(message.to_owned()),
        (reason, "") => Some(reason.to_owned()),
        (reason, message) => Some(format!("{reason}: {message}")),
    }
}
