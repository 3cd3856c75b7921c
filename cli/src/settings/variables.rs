//! `GITMOOR_*` variables as settings. The rule is mechanical, so that it holds for every setting:
//! `__` goes one level down, `_` starts a word, case does not matter.

use std::ffi::OsString;

use figment::value::Value;

use super::{Error, Layer};

const PREFIX: &str = "GITMOOR_";

/// Variables that are no settings: flags of the command line, and those of the control plane for
/// tests, which what is started beside it inherits.
const OTHERS: [&str; 6] = [
    "GITMOOR_CONFIG",
    "GITMOOR_LOG",
    "GITMOOR_LOG_FORMAT",
    "GITMOOR_CLUSTER_CACHE",
    "GITMOOR_CLUSTER_KEEP",
    "GITMOOR_CLUSTER_REMOVE",
];

pub(super) fn layers(environment: &[(OsString, OsString)]) -> Result<Vec<Layer>, Error> {
    let mut settings = Vec::new();
    for (name, value) in environment {
        let name = name.to_string_lossy().to_ascii_uppercase();
        // An empty variable is how templates say that there is none.
        if !name.starts_with(PREFIX) || OTHERS.contains(&name.as_str()) || value.is_empty() {
            continue;
        }
        let value = value
            .to_str()
            .ok_or_else(|| Error::Unicode { name: name.clone() })?;
        if !is_service_link(&name, value) {
            settings.push((name, value));
        }
    }
    // `GITMOOR_ARM` comes before `GITMOOR_ARM__ENDPOINT`, which is the closer word.
    settings.sort();
    let layer = |(name, value): (String, &str)| {
        let origin = format!("the variable {name}");
        Layer::nested(&origin, &setting(&name[PREFIX.len()..]), parse(value))
    };
    Ok(settings.into_iter().map(layer).collect())
}

/// Whether Kubernetes set the variable, for a Service whose name begins with `gitmoor`: a Pod gets
/// such variables for each Service of its namespace, whoever made it.
fn is_service_link(name: &str, value: &str) -> bool {
    let ports = ["TCP", "UDP", "SCTP"];
    name.ends_with("_SERVICE_HOST")
        || name.ends_with("_SERVICE_PORT")
        || name.contains("_SERVICE_PORT_")
        || (name.ends_with("_PORT") && value.contains("://"))
        || ports.iter().any(|protocol| {
            let (whole, part) = (format!("_{protocol}"), format!("_{protocol}_"));
            name.contains("_PORT_") && (name.ends_with(&whole) || name.contains(&part))
        })
}

/// The path of a setting: `OPERATOR__ALLOW_HTTP` is `operator.allowHttp`.
fn setting(name: &str) -> String {
    let camel = |level: &str| {
        let mut start = false;
        let mut camel = String::new();
        for character in level.chars() {
            match character {
                '_' => start = !camel.is_empty(),
                other if start => {
                    camel.push(other);
                    start = false;
                }
                other => camel.push(other.to_ascii_lowercase()),
            }
        }
        camel
    };
    let levels = name.split("__").filter(|level| !level.is_empty());
    levels.map(camel).collect::<Vec<_>>().join(".")
}

/// The variable of a setting, the inverse of [`setting`].
pub(super) fn variable(setting: &str) -> String {
    let mut name = PREFIX.to_owned();
    for character in setting.chars() {
        match character {
            '.' => name.push_str("__"),
            upper if upper.is_ascii_uppercase() => name.extend(['_', upper]),
            other => name.push(other.to_ascii_uppercase()),
        }
    }
    name
}

/// Lists and maps in the notation of figment, `[a, b]` and `{name=value}`; all else is text, so
/// that the number of a subscription stays one.
fn parse(value: &str) -> Value {
    if value.starts_with(['[', '{']) {
        let Ok(value) = value.parse();
        return value;
    }
    Value::from(value)
}
