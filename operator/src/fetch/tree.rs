//! The files of a commit. Names are text in memory and never paths on our disk.

use git2::{ObjectType, Oid, Repository, Tree};

use super::Error;
use crate::snapshot::{BlobId, CommitId, File, FileKind, Snapshot};

/// How many files a commit may have.
const FILES: usize = 200_000;

/// How deep folders may be nested.
const DEPTH: usize = 64;

/// Every file of a commit, in the order of paths.
pub(super) fn snapshot(repository: &Repository, commit: CommitId) -> Result<Snapshot, Error> {
    let disk = |error: git2::Error| Error::Disk(error.message().to_owned());
    let oid = Oid::from_bytes(&commit.0).map_err(disk)?;
    let tree = repository
        .find_commit(oid)
        .and_then(|one| one.tree())
        .map_err(disk)?;
    let mut files = Vec::new();
    walk(repository, &tree, &mut String::new(), 0, &mut files)?;
    // Git orders a folder as if its name ended with a slash.
    files.sort_unstable_by(|a, b| a.path.cmp(&b.path));
    Ok(Snapshot { commit, files })
}

fn walk(
    repository: &Repository,
    tree: &Tree<'_>,
    path: &mut String,
    depth: usize,
    files: &mut Vec<File>,
) -> Result<(), Error> {
    if depth > DEPTH {
        return Err(Error::TooLarge(format!(
            "{path} is more than {DEPTH} folders deep"
        )));
    }
    for entry in tree {
        let name = String::from_utf8_lossy(entry.name_bytes());
        // No tree that Git itself made has these.
        if name.is_empty() || name == "." || name == ".." || name.contains('/') {
            continue;
        }
        let before = path.len();
        if !path.is_empty() {
            path.push('/');
        }
        path.push_str(&name);
        let kind = match (entry.kind(), entry.filemode()) {
            (Some(ObjectType::Tree), _) => {
                let tree = repository
                    .find_tree(entry.id())
                    .map_err(|error| Error::Disk(error.message().to_owned()))?;
                walk(repository, &tree, path, depth + 1, files)?;
                None
            }
            (Some(ObjectType::Commit), _) => Some(FileKind::Submodule),
            (_, 0o120_000) => Some(FileKind::Link),
            _ => Some(FileKind::File),
        };
        if let Some(kind) = kind {
            if files.len() == FILES {
                return Err(Error::TooLarge(format!(
                    "the commit has more than {FILES} files"
                )));
            }
            let mut blob = [0; 20];
            blob.copy_from_slice(&entry.id().as_bytes()[..20]);
            files.push(File {
                path: path.as_str().into(),
                blob: BlobId(blob),
                kind,
            });
        }
        path.truncate(before);
    }
    Ok(())
}
