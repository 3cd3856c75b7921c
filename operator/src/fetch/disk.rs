//! The bare repository on the disk: made, opened, kept small, thrown away. Nothing in it is
//! precious.

use std::{
    collections::BTreeSet,
    fs, io,
    path::{Path, PathBuf},
};

use git2::{Oid, Repository, RepositoryInitOptions};

use super::Error;

/// Each fetch adds a pack, and libgit2 looks for an object in one after the other.
const PACKS: usize = 32;

pub(super) fn damaged(error: &git2::Error) -> Error {
    Error::Disk(error.message().to_owned())
}

/// Opens the repository of a folder.
pub(super) fn open(path: &Path) -> Result<Repository, Error> {
    Repository::open_bare(path).map_err(|error| damaged(&error))
}

/// Opens the repository of a folder; makes it when there is none that can be opened.
pub(super) fn open_or_make(path: &Path) -> Result<Repository, Error> {
    if let Ok(repository) = Repository::open_bare(path) {
        return Ok(repository);
    }
    clear(path)?;
    let mut options = RepositoryInitOptions::new();
    options.bare(true).mkpath(true).external_template(false);
    Repository::init_opts(path, &options).map_err(|error| damaged(&error))
}

/// Removes the repository of a folder, if there is one.
pub(super) fn clear(path: &Path) -> Result<(), Error> {
    match fs::remove_dir_all(path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => {
            Err(Error::Disk(format!("remove {}: {error}", path.display())))
        }
        _ => Ok(()),
    }
}

/// Leaves nothing but these commits when many fetches have added theirs, or more than `bytes`.
/// A process that is killed here leaves packs that the next time removes.
pub(super) fn tidy(path: &Path, keep: &BTreeSet<Oid>, bytes: u64) -> Result<(), Error> {
    let failed = |error: io::Error| Error::Disk(format!("tidy {}: {error}", path.display()));
    let folder = path.join("objects/pack");
    let old = packs(&folder).map_err(failed)?;
    let size: u64 = old.iter().map(|(_, size)| size).sum();
    if old.len() <= PACKS && size <= bytes {
        return Ok(());
    }
    let repository = open(path)?;
    let write = || -> Result<Option<String>, git2::Error> {
        let mut builder = repository.packbuilder()?;
        for commit in keep {
            builder.insert_commit(*commit)?;
        }
        builder.write(&folder, 0o444)?;
        builder.name().map(|name| name.map(str::to_owned))
    };
    let written = write().map_err(|error| damaged(&error))?;
    let written = written.map(|name| format!("pack-{name}"));
    for (pack, _) in old {
        // The same objects make the same name.
        if pack.file_stem().and_then(|stem| stem.to_str()) == written.as_deref() {
            continue;
        }
        // The index first: a pack without one is no part of the repository.
        fs::remove_file(pack.with_extension("idx")).map_err(failed)?;
        fs::remove_file(pack).map_err(failed)?;
    }
    // The ends of the history as it was fetched; each fetch tells the server all of them.
    let ends: String = keep.iter().map(|commit| format!("{commit}\n")).collect();
    let (new, shallow) = (path.join("shallow.new"), path.join("shallow"));
    fs::write(&new, ends)
        .and_then(|()| fs::rename(&new, &shallow))
        .map_err(failed)
}

fn packs(folder: &Path) -> io::Result<Vec<(PathBuf, u64)>> {
    let mut packs = Vec::new();
    for entry in fs::read_dir(folder)? {
        let entry = entry?;
        let path = entry.path();
        if path
            .extension()
            .is_some_and(|extension| extension == "pack")
        {
            packs.push((path, entry.metadata()?.len()));
        }
    }
    Ok(packs)
}
