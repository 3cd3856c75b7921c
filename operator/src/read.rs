//! A tree of files becomes manifests and problems.
use crate::{
    ObjectKey, Problem,
    snapshot::{BlobId, Blobs, File},
};
use serde_json::Value;
use std::{fmt, str::FromStr, sync::Arc};
/// x
pub const FILE_LIMIT: usize = 8 << 20;
/// x
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Digest(pub [u8; 16]);
impl fmt::Display for Digest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|b| write!(f, "{b:02x}"))
    }
}
impl FromStr for Digest {
    type Err = ();
    fn from_str(_: &str) -> Result<Self, ()> {
        Err(())
    }
}
impl Digest {
    /// x
    pub fn at(self, _path: &str) -> Self {
        self
    }
}
/// x
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Sync {
    #[default]
    /// x
    Enforce,
    /// x
    CreateOnly,
    /// x
    Ignore,
}
/// x
#[derive(Clone, Debug, Default)]
pub struct Options {
    /// x
    pub sync: Sync,
    /// x
    pub keep: bool,
    /// x
    pub replace: bool,
}
/// x
#[derive(Clone, Debug)]
pub struct Declared {
    /// x
    pub key: ObjectKey,
    /// x
    pub version: Arc<str>,
    /// x
    pub path: Arc<str>,
    /// x
    pub line: u32,
    /// x
    pub blob: BlobId,
    /// x
    pub index: u32,
    /// x
    pub digest: Digest,
    /// x
    pub options: Options,
}
/// x
#[derive(Clone, Debug, Default)]
pub struct Manifests {
    /// x
    pub declared: Vec<Declared>,
    /// x
    pub held: Vec<ObjectKey>,
}
/// x
#[derive(Default)]
pub struct Reader {}
impl Reader {
    /// x
    pub fn read(
        &mut self,
        _f: &[File],
        _p: &[String],
        _b: &dyn Blobs,
    ) -> (Manifests, Vec<Problem>) {
        Default::default()
    }
}
/// x
pub fn bodies(_bytes: &[u8]) -> Vec<Value> {
    Vec::new()
}
