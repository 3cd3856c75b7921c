//! What is to be done so that the cluster is what the commit says. Pure: from the manifests, the
//! inventory and the kinds of the API server to a list of work, and the guards before deletions.

mod order;

use std::{
    collections::{HashMap, HashSet, hash_map},
    sync::Arc,
};

use gitmoor_crds::ANNOTATION_CONFIRM_PRUNE;

use crate::{
    ObjectKey, Problem, Reason,
    inventory::{Entry, Inventory, Live},
    key::some_of,
    kinds::{Kinds, Missing, api_version},
    read::{Declared, Digest, Manifests, Sync},
    siblings::declared_among,
    snapshot::BlobId,
};

pub(crate) use order::of_deletion;
pub use order::{STAGES, Stage};

/// An object that is to be applied.
#[derive(Clone, Debug)]
pub struct Work {
    /// Which.
    pub key: ObjectKey,
    /// The version in which it is declared.
    pub version: Arc<str>,
    /// The plural name of its kind.
    pub plural: Arc<str>,
    /// Which file declares it.
    pub path: Arc<str>,
    /// In which line.
    pub line: u32,
    /// The file's content.
    pub blob: BlobId,
    /// Which of the file's objects it is.
    pub index: u32,
    /// The digest of the object and its path.
    pub digest: Digest,
    /// Whether an object that is there already is left as it is.
    pub create_only: bool,
    /// Whether it may be deleted and created anew when a field that cannot be changed differs.
    pub replace: bool,
    /// Whether others were found to hold it, so that it is looked at before anything is written.
    pub wary: bool,
    /// The uid of the live object, when it is the one that we applied before.
    pub ours: Option<u128>,
}

impl Work {
    /// The work of applying what is declared at a place.
    pub fn of(
        key: &ObjectKey,
        plural: &Arc<str>,
        one: &Declared,
        digest: Digest,
        entry: Option<&Entry>,
    ) -> Self {
        Self {
            key: key.clone(),
            version: Arc::clone(&one.version),
            plural: Arc::clone(plural),
            path: Arc::clone(&one.path),
            line: one.line,
            blob: one.blob,
            index: one.index,
            digest,
            create_only: one.options.sync == Sync::CreateOnly,
            replace: one.options.replace,
            wary: false,
            ours: entry.and_then(Entry::ours),
        }
    }

    /// A problem with it.
    pub fn problem(&self, reason: Reason, message: String) -> Problem {
        Problem {
            path: self.path.to_string(),
            line: Some(self.line),
            object: Some(self.key.clone()),
            reason,
            message,
        }
    }
}

/// What is to be done.
#[derive(Debug, Default)]
pub struct Plan {
    /// What is to be applied, stage by stage, each in kind order.
    pub stages: [Vec<Work>; STAGES],
    /// Every declared object and its place in the manifests.
    pub declared: Vec<(ObjectKey, u32)>,
    /// How many objects are already as declared.
    pub unchanged: usize,
    /// What is to be deleted, in order.
    pub prune: Vec<ObjectKey>,
    /// What is no longer declared, would be guarded, and may not be there or not be ours: it is
    /// looked at, and the plan is made again. Nothing is pruned before.
    pub look: Vec<ObjectKey>,
    /// Whether deletions depend on what other configurations do next: they declare what is no
    /// longer declared here, or may.
    pub waits: bool,
    /// What is in the inventory, but neither there nor declared: nothing is left to be done.
    pub forget: Vec<ObjectKey>,
    /// What is wrong.
    pub problems: Vec<Problem>,
    /// Whether a kind is missing that a newer discovery, or a definition in this commit, may bring.
    pub kinds_missing: bool,
}

impl Plan {
    /// How many objects are to be applied.
    pub fn to_apply(&self) -> usize {
        self.stages.iter().map(Vec::len).sum()
    }
}

/// What a plan depends on beside the manifests, the inventory and the kinds.
#[derive(Clone, Copy, Debug)]
pub struct Terms<'a> {
    /// The namespace of objects that name none.
    pub namespace: &'a str,
    /// Whether what is no longer as applied is applied again, though it is declared as before.
    pub heals: bool,
    /// Whether what is no longer declared is deleted.
    pub prune: bool,
    /// Whether a problem of the commit may hide objects that are declared: nothing is deleted then.
    pub hidden: bool,
    /// Whether someone has confirmed the deletions of this commit.
    pub confirmed: bool,
    /// Whether what the guards count was looked at.
    pub looked: bool,
    /// The commit, for the confirmation.
    pub revision: &'a str,
    /// How many deletions are great.
    pub guard: Guard,
    /// What the other configurations of the operator declare: that is theirs to take over, and
    /// never deleted.
    pub others: &'a [Arc<Manifests>],
    /// Other configurations that will declare something, and it is not known yet what.
    pub behind: &'a [String],
}

/// How much may be deleted in one sync without a question.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Guard {
    /// So many objects may always.
    pub objects: usize,
    /// And so many of a hundred.
    pub percent: usize,
}

/// Makes the plan.
pub fn plan(manifests: &Manifests, inventory: &Inventory, kinds: &Kinds, terms: Terms<'_>) -> Plan {
    let mut plan = Plan::default();
    let resolved = resolve(manifests, kinds, terms, &mut plan);
    let mut declared: HashSet<&ObjectKey> = HashSet::with_capacity(resolved.len());
    for Resolved {
        key,
        plural,
        one,
        stage,
        ..
    } in &resolved
    {
        declared.insert(key);
        let Some(stage) = stage else { continue };
        let digest = one.digest.at(&one.path);
        let entry = inventory.find(key);
        let create_only = one.options.sync == Sync::CreateOnly;
        let done = entry.is_some_and(|entry| {
            if create_only {
                entry.applied.is_some() && !(terms.heals && entry.live == Live::Gone)
            } else {
                entry.is_left_alone()
                    || (entry.digest == Some(digest) && (!terms.heals || entry.is_as_applied()))
            }
        });
        if done {
            plan.unchanged += 1;
            continue;
        }
        plan.stages[*stage as usize].push(Work::of(key, plural, one, digest, entry));
    }
    for stage in &mut plan.stages {
        // Objects of one file follow each other, so that it is read once.
        stage.sort_by_cached_key(|work| {
            (
                order::of_kind(&work.key),
                Arc::clone(&work.path),
                work.index,
            )
        });
    }
    let orphans = orphans(inventory, &declared, manifests, terms.namespace);
    deletions(orphans, inventory, kinds, terms, &mut plan);
    let places = resolved.into_iter().filter(|one| one.stage.is_some());
    plan.declared = places.map(|one| (one.key, one.place)).collect();
    plan
}

/// A declared object with its namespace and the plural name of its kind.
struct Resolved<'a> {
    key: ObjectKey,
    plural: Arc<str>,
    one: &'a Declared,
    place: u32,
    /// Absent when it is not to be applied.
    stage: Option<Stage>,
}

/// Finds the resource and the namespace of each declared object.
fn resolve<'a>(
    manifests: &'a Manifests,
    kinds: &Kinds,
    terms: Terms<'_>,
    plan: &mut Plan,
) -> Vec<Resolved<'a>> {
    let mut resolved: Vec<Resolved<'a>> = Vec::with_capacity(manifests.declared.len());
    let mut places: HashMap<ObjectKey, usize> = HashMap::with_capacity(manifests.declared.len());
    let namespace: Arc<str> = terms.namespace.into();
    for (place, one) in (0..).zip(&manifests.declared) {
        let (group, kind) = (&one.key.group, &one.key.kind);
        let mut key = one.key.clone();
        let (plural, stage) = match kinds.find(group, &one.version, kind) {
            Ok(resource) => {
                if !resource.namespaced {
                    // Written there all the same, it says nothing: as `kubectl` takes it.
                    key.namespace = None;
                } else if key.namespace.is_none() {
                    key.namespace = Some(Arc::clone(&namespace));
                }
                let stage = Stage::of(&key, resource.namespaced);
                (Arc::clone(&resource.plural), Some(stage))
            }
            Err(missing) => {
                plan.kinds_missing = true;
                plan.problems.push(missing_kind(one, missing));
                if kinds
                    .preferred(group, kind)
                    .is_some_and(|resource| resource.namespaced)
                    && key.namespace.is_none()
                {
                    key.namespace = Some(Arc::clone(&namespace));
                }
                (Arc::from(""), None)
            }
        };
        let stage = stage.filter(|_| one.options.sync != Sync::Ignore);
        match places.entry(key.clone()) {
            hash_map::Entry::Vacant(first) => {
                first.insert(resolved.len());
                resolved.push(Resolved {
                    key,
                    plural,
                    one,
                    place,
                    stage,
                });
            }
            hash_map::Entry::Occupied(first) => {
                let first = &mut resolved[*first.get()];
                first.stage = None;
                plan.problems.push(declared_twice(&key, first.one, one));
            }
        }
    }
    resolved
}

fn declared_twice(key: &ObjectKey, first: &Declared, second: &Declared) -> Problem {
    Problem {
        path: second.path.to_string(),
        line: Some(second.line),
        object: Some(key.clone()),
        reason: Reason::DuplicateObject,
        message: format!(
            "the object is declared at {}:{} as well; neither is applied: keep one of them",
            first.path, first.line
        ),
    }
}

fn missing_kind(one: &Declared, missing: Missing) -> Problem {
    let asked = api_version(&one.key.group, &one.version);
    let kind = &one.key.kind;
    let (reason, message) = match missing {
        Missing::Version(versions) => (
            Reason::UnknownVersion,
            format!(
                "this cluster has {kind} no longer, or not yet, in {asked}: write apiVersion: {}",
                versions.join(" or ")
            ),
        ),
        Missing::Kind(others) if !others.is_empty() => (
            Reason::UnknownVersion,
            format!(
                "this cluster has no {kind} in {asked}: write apiVersion: {}, and check the fields that differ",
                others.join(" or ")
            ),
        ),
        Missing::Kind(_) => (
            Reason::UnknownKind,
            format!(
                "this cluster knows no kind {kind} in {asked}: install what defines it (a CustomResourceDefinition), or correct apiVersion and kind"
            ),
        ),
        Missing::Stale => (
            Reason::Unanswered,
            format!(
                "the server that provides {asked} does not answer: it is tried again by itself"
            ),
        ),
    };
    Problem {
        path: one.path.to_string(),
        line: Some(one.line),
        object: Some(one.key.clone()),
        reason,
        message,
    }
}

/// What is in the inventory and not declared any more.
fn orphans(
    inventory: &Inventory,
    declared: &HashSet<&ObjectKey>,
    manifests: &Manifests,
    namespace: &str,
) -> Vec<ObjectKey> {
    let held: HashSet<&ObjectKey> = manifests.held.iter().collect();
    let is_held = |key: &ObjectKey| {
        let mut without = key.clone();
        held.contains(key) || {
            let own = without.namespace.take().as_deref() == Some(namespace);
            own && held.contains(&without)
        }
    };
    let keys = inventory.iter().map(|(key, _)| key);
    let keys = keys.filter(|key| {
        let mut written = (*key).clone();
        // A kind that is not known now may have been declared without its namespace.
        let unresolved =
            written.namespace.take().as_deref() == Some(namespace) && declared.contains(&written);
        !declared.contains(key) && !unresolved && !is_held(key)
    });
    keys.cloned().collect()
}

fn deletions(
    mut orphans: Vec<ObjectKey>,
    inventory: &Inventory,
    kinds: &Kinds,
    terms: Terms<'_>,
    plan: &mut Plan,
) {
    orphans.retain(|key| {
        let gone = inventory.find(key).is_none_or(|entry| entry.live == Live::Gone || entry.untouched)
            // Its definition is gone, and so is every object of the kind.
            || (kinds.preferred(&key.group, &key.kind).is_none() && !kinds.is_stale(&key.group));
        if gone {
            plan.forget.push(key.clone());
        }
        !gone
    });
    if terms.prune && !terms.hidden {
        leave_to_others(&mut orphans, terms, plan);
        orphans.sort_by_cached_key(|key| (order::of_deletion(key), key.clone()));
        if !terms.confirmed {
            guard(&mut orphans, inventory, terms, plan);
        }
        plan.prune = orphans;
    }
}

/// What another configuration declares changes hands; what one may declare waits.
fn leave_to_others(orphans: &mut Vec<ObjectKey>, terms: Terms<'_>, plan: &mut Plan) {
    let keys: HashSet<&ObjectKey> = orphans.iter().collect();
    let declared: HashSet<ObjectKey> = terms
        .others
        .iter()
        .flat_map(|manifests| declared_among(manifests, terms.namespace, &keys))
        .cloned()
        .collect();
    plan.waits = !declared.is_empty();
    orphans.retain(|key| !declared.contains(key));
    if orphans.is_empty() || terms.behind.is_empty() {
        return;
    }
    plan.waits = true;
    plan.problems.push(Problem {
        path: String::new(),
        line: None,
        object: None,
        reason: Reason::PrunePostponed,
        message: format!(
            "{} objects are no longer declared, and are deleted when {} has read all of this commit too: what has moved there is kept",
            orphans.len(),
            terms.behind.join(", ")
        ),
    });
    orphans.clear();
}

/// Holds back what nobody may have wanted.
fn guard(orphans: &mut Vec<ObjectKey>, inventory: &Inventory, terms: Terms<'_>, plan: &mut Plan) {
    let (count, total) = (orphans.len(), inventory.len() - plan.forget.len());
    let many =
        count > terms.guard.objects && count * 100 > total.saturating_mul(terms.guard.percent);
    let great = count > 0 && (many || (count == total && plan.to_apply() == 0));
    if !terms.looked {
        // After a death the inventory may have what was never made, and what was deleted.
        let doubtful = |key: &&ObjectKey| {
            let entry = inventory.find(key);
            entry.is_none_or(|entry| entry.applied.is_none() || entry.live == Live::Unknown)
        };
        let guarded = orphans
            .iter()
            .filter(|key| great || order::holds_others(key));
        plan.look = guarded.filter(doubtful).cloned().collect();
        if !plan.look.is_empty() {
            return orphans.clear();
        }
    }
    if great {
        plan.problems.push(guarded(
            None,
            &format!(
                "this commit would delete {count} of {total} objects, and none is deleted ({})",
                some_of(orphans.iter())
            ),
            terms.revision,
        ));
        orphans.clear();
    }
    orphans.retain(|key| {
        let holds_others = order::holds_others(key);
        if holds_others {
            let what = format!(
                "{key} is no longer declared, and everything in it would go with it; it is not deleted"
            );
            plan.problems
                .push(guarded(Some(key.clone()), &what, terms.revision));
        }
        !holds_others
    });
}

fn guarded(object: Option<ObjectKey>, what: &str, revision: &str) -> Problem {
    Problem {
        path: String::new(),
        line: None,
        object,
        reason: Reason::Guarded,
        message: format!(
            "{what}: to confirm it, set the annotation {ANNOTATION_CONFIRM_PRUNE}: \"{revision}\" on the configuration"
        ),
    }
}
