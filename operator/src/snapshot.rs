//! One commit of a repository: which files it has, and where their content is to be had. Nothing
//! is checked out, so there are no links to follow on a disk and no paths to escape by.

use std::{fmt, sync::Arc};

/// The id of a commit, as Git writes it: 40 hexadecimal digits.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct CommitId(pub [u8; 20]);

/// The id of a file's content.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct BlobId(pub [u8; 20]);

fn write_hexadecimal(bytes: &[u8], f: &mut fmt::Formatter<'_>) -> fmt::Result {
    bytes.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
}

impl fmt::Display for CommitId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write_hexadecimal(&self.0, f)
    }
}

impl fmt::Debug for CommitId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write_hexadecimal(&self.0, f)
    }
}

impl fmt::Debug for BlobId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write_hexadecimal(&self.0, f)
    }
}

/// What stands at a path of a tree.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FileKind {
    /// A file, executable or not.
    File,
    /// A symbolic link; its blob holds the target.
    Link,
    /// Another repository, of which only a commit id is here.
    Submodule,
}

/// A file of a commit.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct File {
    /// From the root of the repository, parts divided by `/`.
    pub path: Arc<str>,
    /// Its content.
    pub blob: BlobId,
    /// What it is.
    pub kind: FileKind,
}

/// Who wrote a commit, as the commit says: nobody has checked it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Author {
    /// The name.
    pub name: String,
    /// When, in seconds since 1970.
    pub seconds: i64,
    /// The first line of the message.
    pub title: String,
}

/// One commit.
#[derive(Clone, Debug)]
pub struct Snapshot {
    /// Which.
    pub commit: CommitId,
    /// Who wrote it.
    pub author: Author,
    /// Every file of the commit, ordered by path.
    pub files: Vec<File>,
}

/// Where the content of blobs is to be had.
pub trait Blobs {
    /// The content of a blob.
    ///
    /// # Errors
    /// When it is not there, or larger than `limit` bytes: it is then not read.
    fn load(&self, blob: BlobId, limit: usize) -> Result<Vec<u8>, LoadError>;
}

/// Why a blob's content is not to be had.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum LoadError {
    /// It is larger than the caller wants to read.
    #[error("{size} bytes are more than the limit of {limit}")]
    TooLarge {
        /// Its size in bytes.
        size: u64,
        /// The limit in bytes.
        limit: usize,
    },
    /// It cannot be read.
    #[error("{0}")]
    Unreadable(String),
}
