//! What was judged as a table for a person, a line for each object.

use std::fmt::Write as _;

use super::Judged;
use crate::terminal::line;

pub(super) fn of(judged: &[Judged<'_>]) -> String {
    if judged.is_empty() {
        return "no objects\n".to_owned();
    }
    let rows: Vec<[String; 3]> = judged
        .iter()
        .map(|one| [one.status.to_owned(), line(&named(one)), line(&one.message)])
        .collect();
    let header = ["STATUS", "OBJECT", "WHY"].map(str::to_owned);
    let width = |column: usize| {
        let all = rows.iter().chain([&header]);
        all.map(|row| row[column].chars().count())
            .max()
            .unwrap_or(0)
    };
    let (first, second) = (width(0), width(1));
    let mut text = String::new();
    for [status, object, why] in [&header].into_iter().chain(&rows) {
        writeln!(text, "{status:first$}  {object:second$}  {why}")
            .expect("a String takes everything");
    }
    text
}

/// As `kubectl` names kinds: `Deployment.apps shop/front`.
fn named(one: &Judged<'_>) -> String {
    let group = one
        .api_version
        .split_once('/')
        .map_or("", |(group, _)| group);
    let dot = if group.is_empty() { "" } else { "." };
    let slash = if one.namespace.is_empty() { "" } else { "/" };
    let name = format!(
        "{}{dot}{group} {}{slash}{}",
        one.kind, one.namespace, one.name
    );
    match name.trim() {
        "" => "(no object)".to_owned(),
        name => name.to_owned(),
    }
}
