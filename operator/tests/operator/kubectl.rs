//! Whatever a file holds, it is read as `kubectl` reads it: thousands of files, made with fixed
//! seeds, go through `kubectl`'s own code and through ours.

#[path = "kubectl/documents.rs"]
mod documents;

use std::{fs, path::Path, process::Command};

use gitmoor_operator::manifest::{Fault, parse};
use serde::Deserialize;
use serde_json::{Value, json};

use super::manifest::same;

/// How many files of each seed; some seconds for all.
const FILES: usize = 4000;

/// What `kubectl` makes of a file.
#[derive(Deserialize)]
struct Answer {
    objects: Vec<Value>,
    #[serde(default)]
    error: String,
}

/// What `kubectl` makes of files, one answer for each.
fn ask(files: &[Vec<u8>]) -> Vec<Answer> {
    let folder = tempfile::tempdir().unwrap();
    for (number, file) in files.iter().enumerate() {
        fs::write(folder.path().join(format!("{number:06}")), file).unwrap();
    }
    let program = gitmoor_cluster::program().unwrap();
    let output = Command::new(program)
        .arg("read")
        .arg(folder.path())
        .output()
        .unwrap();
    assert!(output.status.success(), "{output:?}");
    let lines = output.stdout.split(|byte| *byte == b'\n');
    let answers = lines.filter(|line| !line.is_empty()).map(|line| {
        serde_json::from_slice(line)
            .unwrap_or_else(|error| panic!("{error}: {}", String::from_utf8_lossy(line)))
    });
    answers.collect()
}

/// Where we mean to differ: what `kubectl` takes by chance, or in part, is refused with words.
fn is_refused_on_purpose(fault: &Fault) -> bool {
    // Which of `1: a` and `"1": b` counts is chance in a map of Go's.
    fault.message.contains("in two forms")
        // `kubectl` stops reading there, and says nothing.
        || fault.message.contains("is a directive")
        // In a value that the same key further down hides from `kubectl`.
        || fault.message.contains("a key is missing, or null")
        || fault.message.contains("is no number that JSON has")
}

/// Whether `kubectl` says of a document that it cannot be an object. Here that is judged later, when
/// a document becomes an object.
fn is_no_object(document: &Value) -> bool {
    let is_text = |field: &str| {
        document[field]
            .as_str()
            .is_some_and(|text| !text.is_empty())
    };
    let metadata = &document["metadata"];
    !is_text("kind") || !is_text("apiVersion") || !(metadata.is_object() || metadata.is_null())
}

/// What `kubectl` refuses, and only because of how it divides files.
fn is_taken_on_purpose(error: &str) -> bool {
    // A byte order mark behind the last value, unless a line ends there.
    error.contains("invalid character 'ï' looking for beginning of value")
}

/// What differs, if anything does.
fn difference(file: &[u8], kubectl: &Answer) -> Option<String> {
    let parsed = parse(file);
    let values: Vec<&Value> = parsed.documents.iter().map(|one| &one.value).collect();
    let mut faults = parsed.faults.iter();
    let fault = faults.find(|fault| !fault.reason.is_warning());
    match (fault, kubectl.error.is_empty()) {
        // Of a file that it refuses it may have sent the objects before the fault, or after it.
        (Some(_), false) => None,
        (Some(fault), true) => {
            (!is_refused_on_purpose(fault)).then(|| format!("only we refuse it: {fault:?}"))
        }
        (None, false) if is_taken_on_purpose(&kubectl.error) => None,
        (None, false) => (!values.iter().any(|value| is_no_object(value))).then(|| {
            format!(
                "only kubectl refuses it: {}; we read {}",
                kubectl.error,
                json!(values)
            )
        }),
        (None, true) => {
            let alike = values.len() == kubectl.objects.len()
                && values.iter().zip(&kubectl.objects).all(|(a, b)| same(a, b));
            (!alike).then(|| {
                format!(
                    "kubectl reads {}, and we {}",
                    json!(kubectl.objects),
                    json!(values)
                )
            })
        }
    }
}

/// The cases that are kept in files, as seeds of others.
fn cases() -> Vec<Vec<u8>> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/operator/cases");
    let mut paths: Vec<_> = fs::read_dir(folder)
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .filter(|path| path.extension().is_some_and(|end| end == "yaml"))
        .collect();
    paths.sort();
    let cases = paths.iter().map(|path| fs::read(path).unwrap());
    cases.filter(|case| case.len() < 4000).collect()
}

/// What is read otherwise of the files of some seeds.
fn assert_alike(seeds: impl Iterator<Item = u64>, count: usize) {
    let cases = cases();
    let mut different = Vec::new();
    for seed in seeds {
        let files = documents::files(seed, count, &cases);
        let answers = ask(&files);
        assert_eq!(answers.len(), files.len());
        let taken = answers.iter().filter(|answer| answer.error.is_empty());
        let taken = taken.count();
        assert!(
            taken > count / 8,
            "of {count} files kubectl takes {taken} only: they show little"
        );
        different.extend(files.iter().zip(&answers).filter_map(|(file, answer)| {
            let difference = difference(file, answer)?;
            let file = String::from_utf8_lossy(file);
            Some(format!("seed {seed}: {difference}\n{file:?}"))
        }));
    }
    assert!(
        different.is_empty(),
        "{} files are read otherwise than by kubectl:\n\n{}",
        different.len(),
        different[..different.len().min(10)].join("\n\n")
    );
}

#[test]
fn files_are_read_as_kubectl_reads_them() {
    assert_alike(1..=4, FILES);
}
