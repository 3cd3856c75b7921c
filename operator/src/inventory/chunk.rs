//! A part of the inventory as bytes: one line of JSON an object, compressed.

use std::{io::Read as _, io::Write as _, sync::Arc};

use flate2::{Compression, read::GzDecoder, write::GzEncoder};
use serde::{Deserialize, Serialize};

use super::{Entry, Inventory};
use crate::{
    ObjectKey,
    fingerprint::{Fingerprint, parse_uid, write_uid},
    read::Digest,
};

/// A ConfigMap holds 1 MiB; text compresses to a tenth. Who writes more means harm.
const LIMIT: u64 = 32 << 20;

/// The fields in the order of the line.
#[derive(Serialize, Deserialize)]
struct Line {
    #[serde(rename = "g", default, skip_serializing_if = "str::is_empty")]
    group: Arc<str>,
    #[serde(rename = "v")]
    version: Arc<str>,
    #[serde(rename = "k")]
    kind: Arc<str>,
    #[serde(rename = "ns", default, skip_serializing_if = "Option::is_none")]
    namespace: Option<Arc<str>>,
    #[serde(rename = "n")]
    name: Arc<str>,
    #[serde(rename = "d", default, skip_serializing_if = "Option::is_none")]
    digest: Option<String>,
    #[serde(rename = "u", default, skip_serializing_if = "Option::is_none")]
    uid: Option<String>,
    #[serde(rename = "f", default, skip_serializing_if = "Option::is_none")]
    fingerprint: Option<u64>,
    #[serde(rename = "m", default, skip_serializing_if = "is_zero")]
    generation: i64,
    #[serde(rename = "i", default, skip_serializing_if = "std::ops::Not::not")]
    opted_out: bool,
}

#[allow(clippy::trivially_copy_pass_by_ref, reason = "serde gives a reference")]
fn is_zero(number: &i64) -> bool {
    *number == 0
}

impl Inventory {
    /// A chunk as bytes. The lines are ordered, so that one state has one form.
    pub fn encode(&self, chunk: u32) -> Vec<u8> {
        let mut entries: Vec<_> = self
            .entries
            .iter()
            .filter(|(key, _)| self.chunk_of(key) == chunk)
            .collect();
        entries.sort_by_key(|(key, _)| *key);
        let mut encoder = GzEncoder::new(Vec::new(), Compression::fast());
        for (key, entry) in entries {
            let line = Line {
                group: Arc::clone(&key.group),
                version: Arc::clone(&entry.version),
                kind: Arc::clone(&key.kind),
                namespace: key.namespace.clone(),
                name: Arc::clone(&key.name),
                digest: entry.digest.map(|digest| digest.to_string()),
                uid: entry.applied.map(|(uid, _)| write_uid(uid)),
                fingerprint: entry
                    .applied
                    .and_then(|(_, fingerprint)| fingerprint.map(|Fingerprint(hash)| hash)),
                generation: entry.generation,
                opted_out: entry.opted_out,
            };
            let mut text = serde_json::to_vec(&line).expect("a line is plain data");
            text.push(b'\n');
            encoder.write_all(&text).expect("memory takes any bytes");
        }
        encoder.finish().expect("memory takes any bytes")
    }

    /// Adds what a chunk holds. The highest comes first: it is written first, and so is never the
    /// older one where two have the same entry, which is so when a chunk was not rewritten since
    /// their number grew.
    ///
    /// # Errors
    /// When the chunk is not legible: it is stale then.
    pub fn decode(&mut self, chunk: u32, bytes: &[u8]) -> Result<(), String> {
        while chunk >> self.bits != 0 {
            self.bits += 1;
        }
        self.decode_lines(chunk, bytes).inspect_err(|_| {
            self.stale.insert(chunk);
        })
    }

    fn decode_lines(&mut self, chunk: u32, bytes: &[u8]) -> Result<(), String> {
        let mut text = String::new();
        GzDecoder::new(bytes)
            .take(LIMIT + 1)
            .read_to_string(&mut text)
            .map_err(|error| error.to_string())?;
        if text.len() as u64 > LIMIT {
            return Err(format!("it is larger than {LIMIT} bytes"));
        }
        for line in text.lines() {
            let line: Line = serde_json::from_str(line).map_err(|error| error.to_string())?;
            let key = ObjectKey {
                group: line.group,
                kind: line.kind,
                namespace: line.namespace,
                name: line.name,
            };
            let applied = line
                .uid
                .and_then(|uid| parse_uid(&uid))
                .map(|uid| (uid, line.fingerprint.map(Fingerprint)));
            let entry = Entry {
                version: line.version,
                digest: line.digest.and_then(|digest| digest.parse::<Digest>().ok()),
                applied,
                generation: line.generation,
                opted_out: line.opted_out,
                ..Entry::default()
            };
            if self.chunk_of(&key) != chunk {
                // A copy, which would outlive its entry.
                self.stale.insert(chunk);
            }
            self.entries.entry(key).or_insert(entry);
        }
        Ok(())
    }
}
