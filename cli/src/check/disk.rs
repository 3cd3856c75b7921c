//! A folder on the disk as the tree of a commit: links are not followed but kept as Git keeps them,
//! and a repository within it is a submodule. What Git does not hold, such as sockets, is left out.

use std::{
    fs,
    io::{self, Read as _},
    os::unix::ffi::OsStrExt as _,
    path::{Path, PathBuf},
};

use gitmoor_operator::snapshot::{BlobId, Blobs, File, FileKind, LoadError};

/// The folder or file cannot be read.
#[derive(Debug, thiserror::Error)]
#[error("read {path}")]
pub(super) struct Error {
    path: PathBuf,
    source: io::Error,
}

/// The files of a folder, and where their content is.
#[derive(Debug)]
pub(super) struct Tree {
    pub(super) files: Vec<File>,
    /// What is to be read of it.
    pub(super) path: String,
    /// The name of a single file whose name says nothing to the reader, which knows it by `path`.
    pub(super) shown: Option<String>,
    /// By the number in a blob's id.
    contents: Vec<Content>,
}

#[derive(Debug)]
enum Content {
    At(PathBuf),
    Target(Vec<u8>),
}

impl Tree {
    pub(super) fn read(path: &Path) -> Result<Self, Error> {
        let failed = |path: &Path| {
            let path = path.to_owned();
            move |source| Error { path, source }
        };
        let mut tree = Self {
            files: Vec::new(),
            path: ".".to_owned(),
            shown: None,
            contents: Vec::new(),
        };
        if !fs::metadata(path).map_err(failed(path))?.is_dir() {
            fs::File::open(path).map_err(failed(path))?;
            tree.single(path);
            return Ok(tree);
        }
        let mut folders = vec![(path.to_owned(), String::new())];
        while let Some((folder, prefix)) = folders.pop() {
            for entry in fs::read_dir(&folder).map_err(failed(&folder))? {
                let entry = entry.map_err(failed(&folder))?;
                if entry.file_name() == ".git" {
                    continue;
                }
                let at = entry.path();
                let shown = format!("{prefix}{}", entry.file_name().to_string_lossy());
                let kind = entry.file_type().map_err(failed(&at))?;
                if kind.is_symlink() {
                    let target = fs::read_link(&at).map_err(failed(&at))?;
                    let target = target.as_os_str().as_bytes().to_vec();
                    tree.add(shown, Content::Target(target), FileKind::Link);
                } else if kind.is_file() {
                    tree.add(shown, Content::At(at), FileKind::File);
                } else if kind.is_dir() && at.join(".git").exists() {
                    tree.add(shown, Content::At(at), FileKind::Submodule);
                } else if kind.is_dir() {
                    folders.push((at, format!("{shown}/")));
                }
            }
        }
        tree.files.sort_by(|a, b| a.path.cmp(&b.path));
        Ok(tree)
    }

    /// A single file is read whatever its name ends in; in a folder the reader goes by that.
    fn single(&mut self, path: &Path) {
        let name = path.file_name().unwrap_or(path.as_os_str());
        let mut name = name.to_string_lossy().into_owned();
        if ![".yaml", ".yml", ".json"]
            .iter()
            .any(|end| name.ends_with(end))
        {
            self.shown = Some(name.clone());
            name += ".yaml";
        }
        self.path.clone_from(&name);
        self.add(name, Content::At(path.to_owned()), FileKind::File);
    }

    fn add(&mut self, path: String, content: Content, kind: FileKind) {
        // Two files with the same content have two ids here, which costs only time.
        let mut id = [0; 20];
        id[..8].copy_from_slice(&(self.contents.len() as u64).to_be_bytes());
        self.contents.push(content);
        self.files.push(File {
            path: path.into(),
            blob: BlobId(id),
            kind,
        });
    }
}

impl Blobs for Tree {
    fn load(&self, blob: BlobId, limit: usize) -> Result<Vec<u8>, LoadError> {
        let [a, b, c, d, e, f, g, h, ..] = blob.0;
        let number = u64::from_be_bytes([a, b, c, d, e, f, g, h]);
        let content = usize::try_from(number)
            .ok()
            .and_then(|at| self.contents.get(at));
        let bytes = match content {
            Some(Content::At(path)) => {
                read_up_to(path, limit).map_err(|error| LoadError::Unreadable(error.to_string()))?
            }
            Some(Content::Target(target)) => target.clone(),
            None => return Err(LoadError::Unreadable("no such file".to_owned())),
        };
        match bytes.len() > limit {
            true => Err(LoadError::TooLarge {
                size: bytes.len() as u64,
                limit,
            }),
            false => Ok(bytes),
        }
    }
}

/// A byte more than the limit tells that a file passes it.
fn read_up_to(path: &Path, limit: usize) -> io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    let file = fs::File::open(path)?;
    file.take(limit as u64 + 1).read_to_end(&mut bytes)?;
    Ok(bytes)
}
