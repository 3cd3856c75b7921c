//! stub
use crate::snapshot::*;
use std::{path::PathBuf, sync::Arc};
use tokio_util::sync::CancellationToken;
#[derive(Default)]
pub struct Credentials;
impl Credentials {
    pub fn new(_u: Option<String>, _p: Option<String>, _c: Option<String>) -> Result<Self, String> {
        Ok(Self)
    }
}
pub struct Remote;
impl Remote {
    pub fn new(
        _u: &str,
        _b: Option<String>,
        _c: Arc<Credentials>,
        _h: bool,
    ) -> Result<Self, Error> {
        Ok(Self)
    }
}
#[derive(Clone)]
pub struct Store;
#[derive(Debug, thiserror::Error)]
#[error("x")]
pub struct Error;
impl Error {
    pub fn reason(&self) -> &'static str {
        "x"
    }
}
impl Store {
    pub fn new(_p: PathBuf) -> Self {
        Self
    }
    pub async fn fetch(&self, _r: Remote, _c: CancellationToken) -> Result<CommitId, Error> {
        Err(Error)
    }
    pub fn snapshot(&self, _c: CommitId) -> Result<Snapshot, Error> {
        Err(Error)
    }
    pub fn remove(&self) {}
}
impl Blobs for Store {
    fn load(&self, _b: BlobId, _l: usize) -> Result<Vec<u8>, LoadError> {
        Err(LoadError::Unreadable("".into()))
    }
}
