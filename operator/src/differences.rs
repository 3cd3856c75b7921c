//! How a live object differs from what was declared, field by field. Pure: from the two objects and
//! what `managedFields` says. Only what we own is compared, since only that is declared.

use std::fmt;

use k8s_openapi::apimachinery::pkg::apis::meta::v1::{ManagedFieldsEntry, ObjectMeta};
use serde::Deserialize as _;
use serde_json::{Map, Value};

/// How many fields a sentence names.
const NAMED: usize = 8;

/// How much of a value or of a field's name is shown, in characters.
const SHOWN: usize = 120;

/// A field that is not as it was declared.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Difference {
    /// Which, as the API server writes fields: `.spec.template.spec.containers[name="front"].image`.
    pub field: String,
    /// What was declared, as JSON and cut to a bound; absent when it is secret.
    pub wanted: Option<String>,
    /// What there is instead; absent when it is secret.
    pub live: Option<String>,
    /// Whether there is nothing.
    pub missing: bool,
    /// The field managers that own it now.
    pub managers: Vec<String>,
}

/// How a live object differs from `wanted`, which is what it would be if `manager` applied what is
/// declared. `secret` says that no value may be shown.
pub fn differences(live: &Value, wanted: &Value, manager: &str, secret: bool) -> Vec<Difference> {
    let entries = managed_fields(live);
    let others: Vec<_> = entries
        .iter()
        .filter(|entry| entry.manager.as_deref() != Some(manager))
        .filter_map(|entry| {
            let fields = &entry.fields_v1.as_ref()?.0;
            Some((entry.manager.as_deref()?, fields))
        })
        .collect();
    let wanted_entries = managed_fields(wanted);
    let ours = wanted_entries.iter().find(|entry| {
        entry.manager.as_deref() == Some(manager)
            && entry.operation.as_deref() == Some("Apply")
            && entry.subresource.as_deref().unwrap_or_default().is_empty()
    });
    let Some(fields) = ours.and_then(|entry| entry.fields_v1.as_ref()) else {
        return Vec::new();
    };
    let mut walk = Walk {
        secret,
        path: String::new(),
        found: Vec::new(),
    };
    walk.compare(&fields.0, Some(live), Some(wanted), &others);
    walk.found
}

fn managed_fields(object: &Value) -> Vec<ManagedFieldsEntry> {
    let metadata = ObjectMeta::deserialize(&object["metadata"]);
    metadata
        .ok()
        .and_then(|metadata| metadata.managed_fields)
        .unwrap_or_default()
}

/// A manager, and what it owns at and below the field that is looked at.
type Owned<'a> = (&'a str, &'a Value);

struct Walk {
    secret: bool,
    path: String,
    found: Vec<Difference>,
}

impl Walk {
    fn compare(
        &mut self,
        fields: &Value,
        live: Option<&Value>,
        wanted: Option<&Value>,
        others: &[Owned<'_>],
    ) {
        let steps = fields.as_object().into_iter().flatten();
        let steps: Vec<_> = steps.filter(|(step, _)| *step != ".").collect();
        let (Some(below), false) = (live, steps.is_empty()) else {
            if live != wanted {
                self.differs(live, wanted, others);
            }
            return;
        };
        for (step, fields) in steps {
            let length = self.path.len();
            self.path.push_str(&written(step));
            let others: Vec<_> = others
                .iter()
                .filter_map(|(manager, owned)| Some((*manager, owned.get(step)?)))
                .collect();
            let wanted = wanted.and_then(|wanted| find(wanted, step));
            self.compare(fields, find(below, step), wanted, &others);
            self.path.truncate(length);
        }
    }

    fn differs(&mut self, live: Option<&Value>, wanted: Option<&Value>, others: &[Owned<'_>]) {
        let shown = |value: Option<&Value>| {
            let value = value.filter(|_| !self.secret)?;
            Some(cut(&value.to_string()))
        };
        let mut managers: Vec<_> = others.iter().map(|(manager, _)| cut(manager)).collect();
        managers.sort_unstable();
        managers.dedup();
        self.found.push(Difference {
            field: cut(&self.path),
            wanted: shown(wanted),
            live: shown(live),
            missing: live.is_none(),
            managers,
        });
    }
}

/// What is below an object or a list at a step of `fieldsV1`: `f:` a field, `k:` the item with these
/// keys, `v:` the item that is this value, `i:` the item of this number.
fn find<'a>(value: &'a Value, step: &str) -> Option<&'a Value> {
    let (sort, rest) = step.split_once(':')?;
    let items = || value.as_array().into_iter().flatten();
    match sort {
        "f" => value.get(rest),
        "i" => value.get(rest.parse::<usize>().ok()?),
        "v" => {
            let wanted: Value = serde_json::from_str(rest).ok()?;
            items().find(|item| **item == wanted)
        }
        "k" => {
            let keys: Map<String, Value> = serde_json::from_str(rest).ok()?;
            items().find(|item| {
                let mut keys = keys.iter();
                keys.all(|(key, value)| item.get(key) == Some(value))
            })
        }
        _ => None,
    }
}

/// A step as the API server writes it in its messages.
fn written(step: &str) -> String {
    match step.split_once(':') {
        Some(("f", field)) => format!(".{field}"),
        Some(("k", keys)) => {
            let keys: Map<String, Value> = serde_json::from_str(keys).unwrap_or_default();
            let keys: Vec<_> = keys
                .iter()
                .map(|(key, value)| format!("{key}={value}"))
                .collect();
            format!("[{}]", keys.join(","))
        }
        Some(("v", value)) => format!("[={value}]"),
        Some((_, number)) => format!("[{number}]"),
        None => String::new(),
    }
}

/// Text that others chose, bounded and in one line.
fn cut(text: &str) -> String {
    let mut shown: String = text
        .chars()
        .take(SHOWN)
        .map(|c| if c.is_control() { ' ' } else { c })
        .collect();
    if text.chars().nth(SHOWN).is_some() {
        shown.push('…');
    }
    shown
}

impl fmt::Display for Difference {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} ", self.field)?;
        match (&self.live, &self.wanted) {
            (_, Some(wanted)) if self.missing => write!(f, "is missing, and should be {wanted}")?,
            (Some(live), Some(wanted)) => write!(f, "is {live}, and should be {wanted}")?,
            _ if self.missing => write!(f, "is missing")?,
            _ => write!(f, "differs")?,
        }
        if !self.managers.is_empty() {
            write!(f, " ({})", self.managers.join(", "))?;
        }
        Ok(())
    }
}

/// Differences as a sentence has them.
pub fn listed(differences: &[Difference]) -> String {
    let mut text: Vec<_> = differences
        .iter()
        .take(NAMED)
        .map(ToString::to_string)
        .collect();
    if differences.len() > NAMED {
        text.push(format!("and {} fields more", differences.len() - NAMED));
    }
    text.join("; ")
}
