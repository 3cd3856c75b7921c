//! What there is to say about a tree: its objects, its problems, its remarks. Those that the reader
//! finds, and objects that are declared twice; what only a cluster can tell is not among them.

use std::{
    collections::{BTreeSet, HashMap},
    sync::Arc,
};

use gitmoor_operator::{
    Problem, Reason,
    read::{Declared, FILE_LIMIT, Reader, Sync, bodies},
    snapshot::{BlobId, Blobs as _},
};
use serde::Serialize;
use serde_json::Value;

use super::disk::Tree;
use crate::terminal::line;

/// Everything there is to say.
#[derive(Debug, Serialize)]
pub(super) struct Findings {
    objects: Vec<Object>,
    pub(super) problems: Vec<Finding>,
    /// What is no problem: everything is applied all the same.
    remarks: Vec<Finding>,
}

/// An object as it would be sent.
#[derive(Debug, Serialize)]
struct Object {
    path: String,
    line: u32,
    object: Value,
}

/// Something to say about a place.
#[derive(Debug, Serialize)]
pub(super) struct Finding {
    path: String,
    line: Option<u32>,
    reason: &'static str,
    message: String,
}

/// Reads a tree.
pub(super) fn find(tree: &Tree) -> Findings {
    let paths = std::slice::from_ref(&tree.path);
    let (mut manifests, mut problems) = Reader::default().read(&tree.files, paths, tree);
    if let Some(shown) = &tree.shown {
        let path: Arc<str> = shown.as_str().into();
        for one in &mut manifests.declared {
            one.path = Arc::clone(&path);
        }
        for problem in &mut problems {
            problem.path.clone_from(shown);
        }
    }
    let (declared, twice) = once(manifests.declared);
    problems.extend(twice);
    problems.sort_by(|a, b| (&a.path, a.line).cmp(&(&b.path, b.line)));
    let mut objects = Vec::with_capacity(declared.len());
    let mut file: Option<(BlobId, Vec<Value>)> = None;
    for one in declared {
        if file.as_ref().is_none_or(|(blob, _)| *blob != one.blob) {
            // It was read a moment ago; if it is gone now, so are its objects.
            let bytes = tree.load(one.blob, FILE_LIMIT).unwrap_or_default();
            file = Some((one.blob, bodies(&bytes)));
        }
        let body = file
            .as_mut()
            .and_then(|(_, bodies)| bodies.get_mut(one.index as usize));
        if let Some(body) = body {
            objects.push(Object {
                path: one.path.to_string(),
                line: one.line,
                object: body.take(),
            });
        }
    }
    let (remarks, problems): (Vec<_>, Vec<_>) = problems
        .into_iter()
        .partition(|problem| problem.reason.is_warning());
    let findings = |problems: Vec<Problem>| -> Vec<Finding> {
        let all = problems.into_iter().map(|problem| Finding {
            path: problem.path,
            line: problem.line,
            reason: problem.reason.name(),
            message: problem.message,
        });
        all.collect()
    };
    Findings {
        objects,
        problems: findings(problems),
        remarks: findings(remarks),
    }
}

/// The objects that would be sent, and a problem for each that is declared again.
fn once(declared: Vec<Declared>) -> (Vec<Declared>, Vec<Problem>) {
    let mut first = HashMap::new();
    let mut twice = BTreeSet::new();
    let mut problems = Vec::new();
    for (at, one) in declared.iter().enumerate() {
        let before = *first.entry(&one.key).or_insert(at);
        if before == at {
            continue;
        }
        twice.extend([before, at]);
        let other = &declared[before];
        problems.push(Problem {
            path: one.path.to_string(),
            line: Some(one.line),
            object: Some(one.key.clone()),
            reason: Reason::DuplicateObject,
            message: format!(
                "{} is declared at {}:{} as well; neither is applied: keep one of them",
                one.key, other.path, other.line
            ),
        });
    }
    let sent = declared
        .into_iter()
        .enumerate()
        .filter(|(at, one)| !twice.contains(at) && one.options.sync != Sync::Ignore)
        .map(|(_, one)| one);
    (sent.collect(), problems)
}

impl Findings {
    /// A line for each problem and remark, and a summary.
    pub(super) fn for_a_person(&self) -> String {
        let mut text = String::new();
        let problems = self.problems.iter().map(|one| (one, ""));
        let remarks = self.remarks.iter().map(|one| (one, "remark: "));
        for (one, mark) in problems.chain(remarks) {
            let place = one.line.map_or_else(String::new, |line| format!("{line}:"));
            let told = format!("{}:{place} {mark}{}: {}", one.path, one.reason, one.message);
            text += &line(&told);
            text.push('\n');
        }
        let files: BTreeSet<&str> = self.objects.iter().map(|one| one.path.as_str()).collect();
        text += &format!(
            "{} in {}, {}, {}\n",
            count(self.objects.len(), "object"),
            count(files.len(), "file"),
            count(self.problems.len(), "problem"),
            count(self.remarks.len(), "remark"),
        );
        text
    }
}

fn count(count: usize, of: &str) -> String {
    let ending = if count == 1 { "" } else { "s" };
    format!("{count} {of}{ending}")
}
