//! Objects as they are sent, read from the Git store when they are needed and not kept.

use std::sync::{Arc, Mutex, PoisonError};

use serde_json::Value;

use crate::{
    read,
    snapshot::{BlobId, Blobs},
};

/// Where objects are read from.
pub struct Bodies {
    blobs: Arc<dyn Blobs + Send + Sync>,
    /// The file that was read last: the objects of one file follow each other, and a file of
    /// thousands would be read as often as it has objects.
    last: Mutex<Option<(BlobId, Arc<Vec<Value>>)>>,
}

impl Bodies {
    /// Objects from a store.
    pub fn new(blobs: Arc<dyn Blobs + Send + Sync>) -> Self {
        Self {
            blobs,
            last: Mutex::default(),
        }
    }

    /// The object of this number in a file.
    ///
    /// # Errors
    /// When the file cannot be read, or has no such object.
    pub fn object(&self, blob: BlobId, index: u32) -> Result<Value, String> {
        let mut last = self.last.lock().unwrap_or_else(PoisonError::into_inner);
        let objects = match &*last {
            Some((id, objects)) if *id == blob => Arc::clone(objects),
            _ => {
                let bytes = self
                    .blobs
                    .load(blob, read::FILE_LIMIT)
                    .map_err(|error| error.to_string())?;
                let objects = Arc::new(read::bodies(&bytes));
                *last = Some((blob, Arc::clone(&objects)));
                objects
            }
        };
        objects
            .get(index as usize)
            .cloned()
            .ok_or_else(|| "the file has fewer objects than before".to_owned())
    }

    /// Gives the memory back.
    pub fn forget(&self) {
        *self.last.lock().unwrap_or_else(PoisonError::into_inner) = None;
    }
}
