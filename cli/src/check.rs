//! `gitmoor check`: what an operator would make of a folder, without a cluster. It reads the disk
//! and prints; what a manifest means, the operator's own reader says.

mod disk;
mod findings;

use std::{
    io::{self, Write as _},
    path::PathBuf,
    process::ExitCode,
};

use anyhow::Context as _;
use clap::{Args, ValueEnum};

use crate::failure;

/// There are problems.
const PROBLEMS: u8 = 1;
/// There was nothing to read.
const UNREADABLE: u8 = 2;

/// Reads a folder exactly as an operator would, without a cluster, and says what is wrong.
///
/// The exit status is 0 when nothing is wrong (remarks are allowed), 1 when there are problems, and
/// 2 when the folder or file cannot be read.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  gitmoor check .
  gitmoor check deploy/shop.yaml
  gitmoor check -o json . | jq '.objects[].object.kind'")]
pub(crate) struct Check {
    /// A folder, taken for the root of a repository, or a single file.
    path: PathBuf,
    /// Print objects, problems and remarks as JSON, instead of lines for a person.
    #[arg(short, long, value_name = "FORMAT")]
    output: Option<Format>,
}

#[derive(Clone, Copy, Debug, ValueEnum)]
enum Format {
    Json,
}

pub(crate) fn run(arguments: &Check) -> anyhow::Result<ExitCode> {
    let tree = match disk::Tree::read(&arguments.path) {
        Ok(tree) => tree,
        Err(error) => {
            failure::report(&error.into());
            return Ok(ExitCode::from(UNREADABLE));
        }
    };
    let findings = findings::find(&tree);
    let text = match arguments.output {
        None => findings.for_a_person(),
        Some(Format::Json) => serde_json::to_string_pretty(&findings).context("write JSON")? + "\n",
    };
    let written = io::stdout().write_all(text.as_bytes());
    written.context("write to the standard output")?;
    Ok(match findings.problems.is_empty() {
        true => ExitCode::SUCCESS,
        false => ExitCode::from(PROBLEMS),
    })
}
