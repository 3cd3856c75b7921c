//! What figment found wrong, in words: which setting, from where, and what is possible.

use figment::{
    Figment,
    error::{Actual, Kind},
};

use super::{Error, variables};

/// Explains the first of the problems.
pub(super) fn explain(figment: &Figment, error: &figment::Error) -> Error {
    let setting = error.path.join(".");
    // By the path and not by the error's own metadata: a level that several origins fill has the
    // metadata of one of them.
    let origin = figment
        .find_metadata(&setting)
        .or(error.metadata.as_ref())
        .map_or_else(|| "default".to_owned(), |found| found.name.to_string());
    match &error.kind {
        Kind::UnknownField(_, known) => Error::Unknown {
            known: list(known, &setting, &origin),
            setting,
            origin,
        },
        kind => Error::Wrong {
            problem: problem(kind),
            setting,
            origin,
        },
    }
}

/// The settings of the same level, written as the origin writes them.
fn list(known: &[&str], setting: &str, origin: &str) -> String {
    if known.is_empty() {
        return "none".to_owned();
    }
    let level = setting.rsplit_once('.').map(|(level, _)| level);
    let name = |name: &&str| match (origin.contains(&variables::variable("")), level) {
        (true, Some(level)) => variables::variable(&format!("{level}.{name}")),
        (true, None) => variables::variable(name),
        (false, _) => (*name).to_owned(),
    };
    known.iter().map(name).collect::<Vec<_>>().join(", ")
}

/// What is wrong, without the value where that is a text: it may be a secret in the wrong place.
fn problem(kind: &Kind) -> String {
    match kind {
        Kind::InvalidType(found, expected) => format!("expected {expected}, found {}", noun(found)),
        Kind::InvalidValue(found, expected) => {
            format!("expected {expected}, not this {}", noun(found))
        }
        Kind::UnknownVariant(_, known) => format!("choose one of {}", known.join(", ")),
        other => other.to_string(),
    }
}

fn noun(found: &Actual) -> String {
    match found {
        Actual::Str(_) => "text".to_owned(),
        Actual::Bytes(_) => "bytes".to_owned(),
        Actual::Unit | Actual::Option => "nothing".to_owned(),
        other => other.to_string(),
    }
}
