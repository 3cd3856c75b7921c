//! A tree of files becomes manifests and problems. Only files whose content is new are loaded and
//! parsed; of each object its identity, place and digest are kept, and never its body.

mod digest;
mod discover;
mod ignored;
mod object;

use std::{
    collections::{HashMap, HashSet},
    sync::Arc,
};

use serde_json::Value;

use crate::{
    ObjectKey, Problem, Reason,
    manifest::{self, Fault},
    snapshot::{BlobId, Blobs, File, LoadError},
};

pub use digest::{Digest, DigestError};
pub use object::{Options, Sync};

/// How large a file may be, in bytes. The API server takes objects of 3 MiB at most, and a file of
/// many is as well divided.
pub const FILE_LIMIT: usize = 16 << 20;

/// An object that a file declares.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Declared {
    /// Which. The namespace is as written: absent when the file names none.
    pub key: ObjectKey,
    /// The version in which it is written.
    pub version: Arc<str>,
    /// The file.
    pub path: Arc<str>,
    /// The line of its first key, from 1.
    pub line: u32,
    /// The file's content.
    pub blob: BlobId,
    /// Which of the file's documents it is.
    pub index: u32,
    /// Of the object as it would be sent.
    pub digest: Digest,
    /// What its annotations ask for.
    pub options: Options,
}

/// What a commit declares, in the order of paths.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Manifests {
    /// The objects.
    pub declared: Vec<Declared>,
    /// Objects that have a problem of their own, and so are neither applied nor pruned.
    pub held: Vec<ObjectKey>,
}

/// Reads commits, each with what is left of the one before.
#[derive(Default)]
pub struct Reader {
    files: HashMap<BlobId, Arc<Content>>,
    words: HashSet<Arc<str>>,
}

/// What a file's content declares, wherever it stands.
#[derive(Default)]
struct Content {
    objects: Vec<object::Object>,
    held: Vec<ObjectKey>,
    faults: Vec<(Option<ObjectKey>, Fault)>,
}

impl Reader {
    /// Reads what a commit declares below some paths.
    pub fn read(
        &mut self,
        files: &[File],
        paths: &[String],
        blobs: &dyn Blobs,
    ) -> (Manifests, Vec<Problem>) {
        let (found, mut problems) = discover::discover(files, paths, blobs);
        let mut manifests = Manifests::default();
        let before = std::mem::take(&mut self.files);
        for file in found {
            let content = match before
                .get(&file.blob)
                .or_else(|| self.files.get(&file.blob))
            {
                Some(content) => Arc::clone(content),
                None => match blobs.load(file.blob, FILE_LIMIT) {
                    Ok(bytes) => Arc::new(self.parse(&bytes)),
                    Err(error) => {
                        problems.push(unloadable(&file.path, &error));
                        continue;
                    }
                },
            };
            self.files.insert(file.blob, Arc::clone(&content));
            manifests.held.extend(content.held.iter().cloned());
            problems.extend(content.faults.iter().map(|(object, fault)| {
                let fault = object::in_file(fault, &file.path);
                Problem {
                    path: file.path.to_string(),
                    line: Some(fault.line),
                    object: object.clone(),
                    reason: fault.reason,
                    message: fault.message,
                }
            }));
            manifests
                .declared
                .extend(content.objects.iter().map(|object| Declared {
                    key: object.key.clone(),
                    version: Arc::clone(&object.version),
                    path: Arc::clone(&file.path),
                    line: object.line,
                    blob: file.blob,
                    index: object.index,
                    digest: object.digest,
                    options: object.options,
                }));
        }
        manifests.declared.shrink_to_fit();
        (manifests, problems)
    }

    fn parse(&mut self, bytes: &[u8]) -> Content {
        let parsed = manifest::parse(bytes);
        let mut content = Content {
            faults: parsed
                .faults
                .into_iter()
                .map(|fault| (None, fault))
                .collect(),
            ..Content::default()
        };
        for (index, document) in (0..).zip(parsed.documents) {
            let mut word = |text: &str| match self.words.get(text) {
                Some(word) => Arc::clone(word),
                None => {
                    let word: Arc<str> = text.into();
                    self.words.insert(Arc::clone(&word));
                    word
                }
            };
            object::read(document, index, &mut word, &mut content);
        }
        // Most files hold one object, and a list has room for four at first: with thousands of
        // files that is most of the memory.
        content.objects.shrink_to_fit();
        content
    }
}

/// The documents of a file as they are sent, by their index.
pub fn bodies(bytes: &[u8]) -> Vec<Value> {
    let documents = manifest::parse(bytes).documents.into_iter();
    documents
        .map(|document| {
            let mut value = document.value;
            object::clean(&mut value);
            value
        })
        .collect()
}

fn unloadable(path: &str, error: &LoadError) -> Problem {
    let (reason, message) = match error {
        LoadError::TooLarge { .. } => (Reason::TooLarge, format!("{error}: split the file")),
        LoadError::Unreadable(what) => (
            Reason::Unreadable,
            format!("the file cannot be read from the Git store: {what}"),
        ),
    };
    Problem {
        path: path.to_owned(),
        line: None,
        object: None,
        reason,
        message,
    }
}
