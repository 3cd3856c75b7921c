//! `gitmoor portal audit`: who changed what.

use clap::{Args, ValueEnum};
use gitmoor_arm::Timestamp;
use gitmoor_portal::{AuditEntry, Settings, Store, identity::Scope};
use serde_json::{Map, Value};

use crate::{print, terminal::line};

const DAY: std::time::Duration = std::time::Duration::from_hours(24);

/// Prints the audit log, the newest first: who changed what, when, and what it was before and after.
///
/// Of secrets it names which were changed and never their values.
#[derive(Debug, Args)]
pub(crate) struct Audit {
    /// Only what lies in this subscription, resource group or cluster.
    #[arg(long, value_name = "ID", default_value = "/")]
    scope: Scope,
    /// How many days to go back.
    #[arg(long, default_value_t = 30)]
    days: u16,
    /// How many entries to print at most.
    #[arg(long, default_value_t = 1000)]
    limit: u32,
    /// As text, or as JSON with an entry on each line.
    #[arg(long, short, value_enum, default_value_t = Output::Text)]
    output: Output,
}

#[derive(Clone, Copy, Debug, ValueEnum)]
enum Output {
    Text,
    Json,
}

impl Audit {
    pub(crate) async fn run(&self, settings: &Settings) -> anyhow::Result<()> {
        let store = Store::open(settings).await?;
        let since = Timestamp(Timestamp::now().0 - DAY * u32::from(self.days));
        for entry in store.audit(&self.scope, since, self.limit).await? {
            print(&match self.output {
                Output::Json => serde_json::to_string(&entry)? + "\n",
                Output::Text => text(&entry),
            })?;
        }
        Ok(())
    }
}

/// A line on what was done, and one for each value that is another one.
fn text(entry: &AuditEntry) -> String {
    let AuditEntry { at, action, .. } = entry;
    let principal = entry.principal.map(|id| format!(" ({id})"));
    let mut text = format!(
        "{at}  {}{}  {action}  {}\n",
        line(&entry.by),
        principal.unwrap_or_default(),
        line(&entry.resource),
    );
    let nothing = Value::Object(Map::new());
    let mut changes = Vec::new();
    compare(
        "",
        entry.before.as_ref().unwrap_or(&nothing),
        entry.after.as_ref().unwrap_or(&nothing),
        &mut changes,
    );
    for (path, before, after) in changes {
        let change = match (before, after) {
            (Value::Null, after) => format!("    {path}: {after}"),
            (before, Value::Null) => format!("    {path}: {before} -> nothing"),
            (before, after) => format!("    {path}: {before} -> {after}"),
        };
        text = text + &line(&change) + "\n";
    }
    text
}

/// The values that differ, by their places: `properties.repositoryUrl`.
fn compare<'a>(
    path: &str,
    before: &'a Value,
    after: &'a Value,
    changes: &mut Vec<(String, &'a Value, &'a Value)>,
) {
    const NONE: &Value = &Value::Null;
    let (Value::Object(before), Value::Object(after)) = (before, after) else {
        if before != after {
            changes.push((path.to_owned(), before, after));
        }
        return;
    };
    let mut names: Vec<&String> = before.keys().chain(after.keys()).collect();
    names.sort_unstable();
    names.dedup();
    for name in names {
        let path = if path.is_empty() {
            name.clone()
        } else {
            format!("{path}.{name}")
        };
        let of = |map: &'a Map<String, Value>| map.get(name).unwrap_or(NONE);
        compare(&path, of(before), of(after), changes);
    }
}
