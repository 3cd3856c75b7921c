//! Which objects a configuration has applied, as far as it knows: kept in memory, and in the cluster
//! in chunks, so that a small change rewrites a small chunk. Pure; [`store`] does the I/O.

mod chunk;
pub mod store;

use std::{
    collections::{BTreeSet, HashMap, hash_map},
    sync::Arc,
};

use sha2::{Digest as _, Sha256};

use crate::{
    ObjectKey,
    fingerprint::{Fingerprint, Seen},
    read::Digest,
};

/// How many entries a chunk holds on average before their number is doubled. 256 make some 12 KiB
/// compressed: a small write, and 10,000 objects are 64 chunks.
const CHUNK: usize = 256;

/// An object of the inventory.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Entry {
    /// The version in which it was applied last.
    pub version: Arc<str>,
    /// The digest of what was applied last; absent when that is not known to have succeeded.
    pub digest: Option<Digest>,
    /// The uid and fingerprint that our own write brought about.
    pub applied: Option<(u128, Option<Fingerprint>)>,
    /// The generation at which the live object was known to be as applied; 0 when there is none.
    pub generation: i64,
    /// How it was seen last, by a watch or in an answer; never stored.
    pub live: Live,
    /// Whether the live object said that it is to be left alone when it was seen last.
    pub opted_out: bool,
    /// Where it is declared, as an index into the manifests; never stored.
    pub declared: Option<u32>,
    /// Whether it was announced by this process and refused ever since, so that nothing in the
    /// cluster is of our making; never stored.
    pub untouched: bool,
}

/// What is known of the live object of an entry.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Live {
    /// Nothing yet.
    #[default]
    Unknown,
    /// It is there.
    There {
        /// What was seen.
        seen: Seen,
        /// How many lists had begun when it was seen.
        epoch: u32,
    },
    /// It is not there.
    Gone,
}

impl Entry {
    /// Whether the live object is, as far as is known, what was applied.
    pub fn is_as_applied(&self) -> bool {
        match self.live {
            // Nobody watches this kind: the answer to our own write is all there is.
            Live::Unknown => self.applied.is_some(),
            Live::There { seen, .. } => self.applied == Some((seen.uid, seen.fingerprint)),
            Live::Gone => false,
        }
    }

    /// Whether somebody may have changed what we applied and put our entry of `managedFields` back:
    /// what the object asks for has moved, and what we own of it has not. Most often it is what
    /// others own of it.
    pub fn is_suspicious(&self) -> bool {
        let Live::There { seen, .. } = self.live else {
            return false;
        };
        self.is_as_applied() && seen.generation != self.generation
    }

    /// Whether somebody wrote on the live object that it is to be left as it is.
    pub fn is_left_alone(&self) -> bool {
        self.opted_out && self.live != Live::Gone
    }

    /// The uid of the live object, when it is the one that we applied: only then may our apply take
    /// fields from others.
    pub fn ours(&self) -> Option<u128> {
        let (uid, _) = self.applied?;
        match self.live {
            Live::Unknown => Some(uid),
            Live::There { seen, .. } => (uid == seen.uid).then_some(uid),
            Live::Gone => None,
        }
    }
}

/// The objects of a configuration.
#[derive(Debug, Default)]
pub struct Inventory {
    entries: HashMap<ObjectKey, Entry>,
    /// There are 2^bits chunks.
    bits: u32,
    /// Chunks of which the cluster has an older state.
    stale: BTreeSet<u32>,
    /// Those of them in which it lacks an object, or says of one what may not be so.
    lacking: BTreeSet<u32>,
}

impl Inventory {
    /// How many objects there are.
    pub fn len(&self) -> usize {
        self.entries.len()
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }

    /// An object.
    pub fn find(&self, key: &ObjectKey) -> Option<&Entry> {
        self.entries.get(key)
    }

    /// Every object.
    pub fn iter(&self) -> impl Iterator<Item = (&ObjectKey, &Entry)> {
        self.entries.iter()
    }

    /// Takes objects in before they are applied, and says which chunks must be written first, so
    /// that a crash cannot leak one. Those that are in already are left alone, and need a chunk
    /// only when an earlier attempt could not write it.
    pub fn announce(
        &mut self,
        objects: impl IntoIterator<Item = (ObjectKey, Arc<str>)>,
    ) -> Vec<u32> {
        let mut new = Vec::new();
        for (key, version) in objects {
            if let hash_map::Entry::Vacant(place) = self.entries.entry(key) {
                new.push(place.key().clone());
                place.insert(Entry {
                    version,
                    untouched: true,
                    ..Entry::default()
                });
            }
        }
        let before = 1 << self.bits;
        while self.entries.len() > CHUNK << self.bits {
            self.bits += 1;
        }
        let chunks: Vec<u32> = new.iter().map(|key| self.chunk_of(key)).collect();
        self.lacking.extend(chunks);
        // What moves to a new chunk is written there before its old chunk can lose it.
        let after = 1 << self.bits;
        self.lacking.extend(before..after);
        if after > before {
            self.stale.extend(0..before);
        }
        self.stale.extend(&self.lacking);
        // The new chunks first, for the same reason.
        self.lacking.iter().rev().copied().collect()
    }

    /// Forgets, before it is applied anew, what an object is: where nothing would put it right, a
    /// crash must not leave an inventory that says something else than what is live. That is
    /// written down with what is announced next.
    pub fn doubt(&mut self, key: &ObjectKey) {
        let chunk = self.chunk_of(key);
        if let Some(entry) = self.entries.get_mut(key)
            && entry.digest.take().is_some()
        {
            self.lacking.insert(chunk);
        }
    }

    /// Records the outcome of our own write.
    pub fn applied(
        &mut self,
        key: &ObjectKey,
        version: &Arc<str>,
        digest: Digest,
        seen: Seen,
        epoch: u32,
    ) {
        let chunk = self.chunk_of(key);
        let Some(entry) = self.entries.get_mut(key) else {
            return;
        };
        let applied = Some((seen.uid, seen.fingerprint));
        if entry.digest != Some(digest)
            || entry.applied != applied
            || entry.version != *version
            || entry.opted_out != seen.opted_out
            || entry.generation != seen.generation
        {
            entry.generation = seen.generation;
            entry.version = Arc::clone(version);
            entry.digest = Some(digest);
            entry.applied = applied;
            entry.opted_out = seen.opted_out;
            self.stale.insert(chunk);
        }
        entry.live = Live::There { seen, epoch };
        entry.untouched = false;
    }

    /// Records that our write failed: what is live is not known to be what was asked for. `refused`
    /// says that the write certainly had no effect.
    pub fn failed(&mut self, key: &ObjectKey, refused: bool) {
        let chunk = self.chunk_of(key);
        let Some(entry) = self.entries.get_mut(key) else {
            return;
        };
        entry.untouched &= refused;
        if entry.digest.take().is_some() {
            self.stale.insert(chunk);
        }
    }

    /// How many objects may be in the cluster by our making.
    pub fn touched(&self) -> usize {
        let entries = self.entries.values();
        entries.filter(|entry| !entry.untouched).count()
    }

    /// Records what a watch saw; true when it is news of an object that is in the inventory.
    pub fn seen(&mut self, key: &ObjectKey, seen: Seen, epoch: u32) -> bool {
        let chunk = self.chunk_of(key);
        let Some(entry) = self.entries.get_mut(key) else {
            return false;
        };
        if let Live::There {
            seen: known,
            epoch: last,
        } = &mut entry.live
            && known.uid == seen.uid
            && known.version >= seen.version
        {
            // Older than the answer to our own write, which is no news.
            *last = epoch.max(*last);
            return false;
        }
        entry.live = Live::There { seen, epoch };
        entry.untouched = false;
        if entry.opted_out != seen.opted_out {
            entry.opted_out = seen.opted_out;
            self.stale.insert(chunk);
        }
        true
    }

    /// Records that the live object, as it was seen last, is what was applied.
    pub fn verified(&mut self, key: &ObjectKey) {
        let chunk = self.chunk_of(key);
        if let Some(entry) = self.entries.get_mut(key)
            && entry.is_suspicious()
            && let Live::There { seen, .. } = entry.live
        {
            entry.generation = seen.generation;
            self.stale.insert(chunk);
        }
    }

    /// Records that an object is gone; true when that is news. `version` is the resource version of
    /// the last that was seen of it.
    pub fn gone(&mut self, key: &ObjectKey, version: u64) -> bool {
        let Some(entry) = self.entries.get_mut(key) else {
            return false;
        };
        match entry.live {
            Live::Gone => false,
            // Made again by us since.
            Live::There { seen, .. } if seen.version > version => false,
            Live::There { .. } | Live::Unknown => {
                entry.live = Live::Gone;
                true
            }
        }
    }

    /// Records that a list is complete: what it did not show, and we did not apply since it began,
    /// is gone. Gives those. `namespace` is the one that was listed, when not all were.
    pub fn listed(
        &mut self,
        group: &str,
        kind: &str,
        namespace: Option<&str>,
        epoch: u32,
    ) -> Vec<ObjectKey> {
        let mut gone = Vec::new();
        for (key, entry) in &mut self.entries {
            let of_kind = *key.kind == *kind
                && *key.group == *group
                && (namespace.is_none() || key.namespace.as_deref() == namespace);
            let missed = match entry.live {
                Live::There { epoch: last, .. } => last < epoch,
                Live::Unknown => true,
                Live::Gone => false,
            };
            if of_kind && missed {
                entry.live = Live::Gone;
                gone.push(key.clone());
            }
        }
        gone
    }

    /// Records where each object is declared: what is not among these is declared no more.
    pub fn declared<'a>(&mut self, places: impl IntoIterator<Item = (&'a ObjectKey, u32)>) {
        for entry in self.entries.values_mut() {
            entry.declared = None;
        }
        for (key, place) in places {
            if let Some(entry) = self.entries.get_mut(key) {
                entry.declared = Some(place);
            }
        }
    }

    /// Takes an object out: it was deleted, or belongs to someone else.
    pub fn remove(&mut self, key: &ObjectKey) {
        if self.entries.remove(key).is_some() {
            self.stale.insert(self.chunk_of(key));
        }
    }

    /// Whether the cluster has an older state.
    pub fn is_stale(&self) -> bool {
        !self.stale.is_empty()
    }

    /// Which chunks the cluster has an older state of.
    pub fn stale(&self) -> Vec<u32> {
        self.stale.iter().rev().copied().collect()
    }

    /// Records that the cluster has a chunk as it is here.
    pub fn written(&mut self, chunk: u32) {
        self.stale.remove(&chunk);
        self.lacking.remove(&chunk);
    }

    fn chunk_of(&self, key: &ObjectKey) -> u32 {
        let mut hash = Sha256::new();
        hash.update(key.to_string());
        let hash = hash.finalize();
        let hash = u32::from_be_bytes([hash[0], hash[1], hash[2], hash[3]]);
        hash & ((1 << self.bits) - 1)
    }
}
