//! `gitmoor health`: how objects fare, without a cluster. It reads what `kubectl get -o yaml` or
//! `-o json` printed; the judgement is the operator's own.

mod table;

use std::{
    fs::File,
    io::{self, Read as _, Write as _},
    path::{Path, PathBuf},
    process::ExitCode,
};

use anyhow::Context as _;
use clap::{Args, ValueEnum};
use gitmoor_operator::{health, manifest};
use serde::Serialize;
use serde_json::Value;

use crate::{failure, terminal};

/// The input, or a part of it, cannot be read.
const UNREADABLE: u8 = 2;

/// The objects of a large cluster in JSON, which in memory take several times as much.
const LIMIT: u64 = 1 << 30;

/// Judges objects as an operator would, and says how each fares and why.
///
/// The input is one object, many documents or a List, in YAML or JSON, with status, as `kubectl get`
/// prints it. Each object is InProgress, Failed, Current, Terminating or Unknown, by the rules of
/// kstatus.
///
/// The exit status is 0 when every object could be read, however they fare, as with `kubectl get`,
/// and 2 when something cannot be read; what can be is judged all the same. The JSON is a list of
/// apiVersion, kind, namespace, name, status and message, all of them texts that are always there;
/// the namespace of an object that has none is empty.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  gitmoor health -f pod.yaml
  kubectl get deploy,sts,job -A -o json | gitmoor health -f -
  kubectl get all -o json | gitmoor health -f - -o json | jq -e 'all(.status == \"Current\")'")]
pub(crate) struct Health {
    /// The file; - is the standard input.
    #[arg(short, long = "filename", value_name = "FILE")]
    file: PathBuf,
    /// Print JSON, instead of a table for a person.
    #[arg(short, long, value_name = "FORMAT")]
    output: Option<Format>,
}

#[derive(Clone, Copy, Debug, ValueEnum)]
enum Format {
    Json,
}

/// The input cannot be read.
#[derive(Debug, thiserror::Error)]
enum Error {
    #[error("read {path}")]
    Read { path: String, source: io::Error },
    #[error("read {path}: it is larger than {LIMIT} bytes")]
    TooLarge { path: String },
}

/// What is printed of an object.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
struct Judged<'a> {
    api_version: &'a str,
    kind: &'a str,
    namespace: &'a str,
    name: &'a str,
    status: &'static str,
    message: String,
}

pub(crate) fn run(arguments: &Health) -> anyhow::Result<ExitCode> {
    let bytes = match read(&arguments.file) {
        Ok(bytes) => bytes,
        Err(error) => {
            failure::report(&error.into());
            return Ok(ExitCode::from(UNREADABLE));
        }
    };
    let parsed = manifest::parse(&bytes);
    drop(bytes);
    let mut unread = false;
    for fault in &parsed.faults {
        let (line, reason, message) = (fault.line, fault.reason, &fault.message);
        let mark = if reason.is_warning() { "remark: " } else { "" };
        unread |= !reason.is_warning();
        let file = arguments.file.display();
        eprintln!(
            "{}",
            terminal::line(&format!("{file}:{line}: {mark}{reason}: {message}"))
        );
    }
    let judged: Vec<Judged<'_>> = parsed
        .documents
        .iter()
        .map(|one| judge(&one.value))
        .collect();
    let text = match arguments.output {
        None => table::of(&judged),
        Some(Format::Json) => serde_json::to_string_pretty(&judged).context("write JSON")? + "\n",
    };
    let written = io::stdout().write_all(text.as_bytes());
    written.context("write to the standard output")?;
    Ok(if unread {
        ExitCode::from(UNREADABLE)
    } else {
        ExitCode::SUCCESS
    })
}

fn read(file: &Path) -> Result<Vec<u8>, Error> {
    let standard_input = file == Path::new("-");
    let path = match standard_input {
        true => "the standard input".to_owned(),
        false => file.display().to_string(),
    };
    let mut bytes = Vec::new();
    let limit = LIMIT + 1;
    let count = match standard_input {
        true => io::stdin().lock().take(limit).read_to_end(&mut bytes),
        false => File::open(file).and_then(|file| file.take(limit).read_to_end(&mut bytes)),
    };
    match count {
        Err(source) => Err(Error::Read { path, source }),
        Ok(_) if bytes.len() as u64 > LIMIT => Err(Error::TooLarge { path }),
        Ok(_) => Ok(bytes),
    }
}

fn judge(object: &Value) -> Judged<'_> {
    let text = |path| object.pointer(path).and_then(Value::as_str).unwrap_or("");
    let health::Health { status, message } = health::health(object);
    Judged {
        api_version: text("/apiVersion"),
        kind: text("/kind"),
        namespace: text("/metadata/namespace"),
        name: text("/metadata/name"),
        status: status.name(),
        message,
    }
}
