//! What a repository keeps from us: files that its `.gitmoorignore` files name, in the syntax of
//! `.gitignore`. One in a deeper folder counts before one above it.

use std::collections::BTreeMap;

use ignore::{
    Match,
    gitignore::{Gitignore, GitignoreBuilder},
};

use crate::{
    Problem, Reason,
    snapshot::{Blobs, File, FileKind},
};

const NAME: &str = ".gitmoorignore";

/// How large such a file may be, in bytes.
const LIMIT: usize = 64 << 10;

/// The rules of a commit, by the folder that they are for, which ends with a slash or is the root.
#[derive(Default)]
pub(super) struct Ignored(BTreeMap<String, Gitignore>);

impl Ignored {
    /// Reads the rules of a commit. A line that is none is a problem, and the others hold.
    pub(super) fn read(files: &[File], blobs: &dyn Blobs) -> (Self, Vec<Problem>) {
        let (mut rules, mut problems) = (BTreeMap::new(), Vec::new());
        for file in files.iter().filter(|file| file.kind == FileKind::File) {
            let Some(folder) = file.path.strip_suffix(NAME) else {
                continue;
            };
            if !folder.is_empty() && !folder.ends_with('/') {
                continue;
            }
            let mut problem = |line, message| {
                problems.push(Problem {
                    path: file.path.to_string(),
                    line,
                    object: None,
                    reason: Reason::BadIgnore,
                    message,
                });
            };
            let text = match blobs.load(file.blob, LIMIT) {
                Ok(bytes) => String::from_utf8_lossy(&bytes).into_owned(),
                Err(error) => {
                    problem(
                        None,
                        format!("the file cannot be read, and ignores nothing: {error}"),
                    );
                    continue;
                }
            };
            let mut builder = GitignoreBuilder::new("");
            for (number, line) in (1..).zip(text.lines()) {
                if let Err(error) = builder.add_line(None, line) {
                    let message = format!(
                        "this line is no pattern of .gitignore, and ignores nothing: {error}"
                    );
                    problem(Some(number), message);
                }
            }
            match builder.build() {
                Ok(built) => drop(rules.insert(folder.to_owned(), built)),
                Err(error) => problem(None, format!("the patterns ignore nothing: {error}")),
            }
        }
        (Self(rules), problems)
    }

    /// Whether a file is not to be read.
    pub(super) fn has(&self, path: &str) -> bool {
        if self.0.is_empty() {
            return false;
        }
        let ends = path.match_indices('/').map(|(at, _)| at + 1).rev();
        for end in ends.chain([0]) {
            let Some(rules) = self.0.get(&path[..end]) else {
                continue;
            };
            match rules.matched_path_or_any_parents(&path[end..], false) {
                Match::None => {}
                Match::Ignore(_) => return true,
                Match::Whitelist(_) => return false,
            }
        }
        false
    }
}
