//! The files of a commit. Names are text in memory and never paths on our disk.

use git2::{Oid, Repository, Tree, TreeEntry};

use super::{Error, disk::damaged};
use crate::snapshot::{Author, BlobId, CommitId, File, FileKind, Snapshot};

/// How many files and folders a commit may have. A few small objects can name each other so that
/// they unfold to any number.
const ENTRIES: usize = 250_000;

/// How long all paths together may be, in bytes; a name can be a megabyte, and be named often.
const PATHS: usize = 64 << 20;

/// How deep folders may be nested.
const DEPTH: usize = 64;

/// Every file of a commit, in the order of paths.
pub(super) fn snapshot(repository: &Repository, commit: CommitId) -> Result<Snapshot, Error> {
    let disk = |error: git2::Error| damaged(&error);
    let oid = Oid::from_bytes(&commit.0).map_err(disk)?;
    let found = repository.find_commit(oid).map_err(disk)?;
    let tree = found.tree().map_err(disk)?;
    let mut walk = Walk {
        repository,
        path: String::new(),
        files: Vec::new(),
        entries: 0,
        length: 0,
    };
    walk.tree(&tree, 0)?;
    let mut files = walk.files;
    // Git orders a folder as if its name ended with a slash.
    files.sort_unstable_by(|a, b| a.path.cmp(&b.path));
    Ok(Snapshot {
        commit,
        author: author(&found),
        files,
    })
}

fn author(commit: &git2::Commit<'_>) -> Author {
    /// A name or a title, in characters.
    const LONGEST: usize = 200;
    let line = |bytes: &[u8]| -> String {
        let text = String::from_utf8_lossy(bytes);
        let plain = text.chars().filter(|one| !one.is_control());
        plain.take(LONGEST).collect()
    };
    let author = commit.author();
    let message = commit.message_bytes();
    let end = message.iter().position(|byte| *byte == b'\n');
    Author {
        name: line(author.name_bytes()),
        seconds: author.when().seconds(),
        title: line(&message[..end.unwrap_or(message.len())]),
    }
}

struct Walk<'a> {
    repository: &'a Repository,
    path: String,
    files: Vec<File>,
    entries: usize,
    length: usize,
}

impl Walk<'_> {
    fn tree(&mut self, tree: &Tree<'_>, depth: usize) -> Result<(), Error> {
        if depth > DEPTH {
            return Err(Error::TooLarge(format!(
                "the commit has folders more than {DEPTH} deep"
            )));
        }
        for entry in tree {
            let name = String::from_utf8_lossy(entry.name_bytes());
            // Git never checks these out, so nobody misses them; `git fsck` says so.
            if name.is_empty()
                || name == "."
                || name == ".."
                || name.contains('/')
                || name.eq_ignore_ascii_case(".git")
            {
                continue;
            }
            self.entries += 1;
            self.length += self.path.len() + name.len();
            if self.entries > ENTRIES || self.length > PATHS {
                return Err(Error::TooLarge(format!(
                    "the commit has more than {ENTRIES} files and folders, or paths of more than {} MiB",
                    PATHS >> 20
                )));
            }
            let before = self.path.len();
            if before > 0 {
                self.path.push('/');
            }
            self.path.push_str(&name);
            self.entry(&entry, depth)?;
            self.path.truncate(before);
        }
        Ok(())
    }

    fn entry(&mut self, entry: &TreeEntry<'_>, depth: usize) -> Result<(), Error> {
        let kind = match entry.filemode() & 0o170_000 {
            0o040_000 => {
                let tree = self.repository.find_tree(entry.id());
                return self.tree(&tree.map_err(|error| damaged(&error))?, depth + 1);
            }
            0o120_000 => FileKind::Link,
            0o160_000 => FileKind::Submodule,
            _ => FileKind::File,
        };
        let mut blob = [0; 20];
        blob.copy_from_slice(entry.id().as_bytes());
        self.files.push(File {
            path: self.path.as_str().into(),
            blob: BlobId(blob),
            kind,
        });
        Ok(())
    }
}
