//! Plan and inventory, whatever happens in whatever order: commits, edits by hand, syncs that fail or
//! die at any step, checkpoints that are late. The server here is a map, and knows no more than what
//! plan and inventory depend on; how a real one answers is tested on a real one.

use std::{
    collections::{BTreeMap, BTreeSet, HashSet},
    sync::Arc,
};

use gitmoor_operator::{
    ObjectKey,
    fingerprint::{Fingerprint, Seen},
    inventory::Inventory,
    kinds::{Kinds, Resource},
    plan::{Guard, Plan, Terms, plan},
    read::{Declared, Digest, Manifests, Options},
    snapshot::BlobId,
};
use proptest::{collection::vec, prelude::*, sample::Index, test_runner::RngSeed};

/// What the repository has: names, and what each holds.
type Commit = BTreeMap<String, u8>;

/// Something that happens.
#[derive(Clone, Debug)]
enum Event {
    /// A commit changes these objects: another value, or none.
    Commit(Vec<(u8, Option<u8>)>),
    /// A commit has so many objects more than the named ones.
    Many(u16),
    /// Somebody changes an object.
    Edit(u8),
    /// Somebody deletes an object.
    Delete(u8),
    /// Somebody makes an object, where there is none.
    Make(u8),
    /// The watches show everything.
    Watch,
    /// A sync that goes well but for one of its steps, and whether that took effect all the same.
    Sync(Index, bool),
    /// A sync that dies at one of its steps, after or before it took effect; then a new process.
    Die(Index, bool),
    /// The checkpoint is written, as far as so many chunks.
    Checkpoint(usize),
}

/// What happens to few objects, or to so many as well that the inventory grows.
fn event(many: u32) -> impl Strategy<Value = Event> {
    let name = 0..4_u8;
    let change = (name.clone(), proptest::option::weighted(0.6, 0..3_u8));
    let index = any::<Index>;
    prop_oneof![
        6 => vec(change, 1..3).prop_map(Event::Commit),
        // A chunk more is needed for more than 256, two more for more than 512.
        many => prop_oneof![2 => 251..257_u16, 1 => 507..513_u16, 1 => 0..300_u16]
            .prop_map(Event::Many),
        2 => name.clone().prop_map(Event::Edit),
        2 => name.clone().prop_map(Event::Delete),
        1 => name.prop_map(Event::Make),
        3 => Just(Event::Watch),
        5 => (index(), any::<bool>()).prop_map(|(step, effect)| Event::Sync(step, effect)),
        4 => (index(), any::<bool>()).prop_map(|(step, effect)| Event::Die(step, effect)),
        2 => (0..4_usize).prop_map(Event::Checkpoint),
    ]
}

/// A live object.
#[derive(Clone, Copy, Debug)]
struct Object {
    uid: u128,
    version: u64,
    /// What it holds; nothing is what somebody else wrote.
    value: Option<Digest>,
    /// Absent when we own nothing of it.
    fingerprint: Option<Fingerprint>,
}

impl Object {
    fn seen(self) -> Seen {
        Seen {
            uid: self.uid,
            version: self.version,
            fingerprint: self.fingerprint,
            generation: 0,
            opted_out: false,
        }
    }
}

/// Everything that outlives a process.
#[derive(Default)]
struct Cluster {
    objects: BTreeMap<ObjectKey, Object>,
    /// Who has made an object that we never applied.
    foreign: BTreeSet<ObjectKey>,
    chunks: BTreeMap<u32, Vec<u8>>,
    /// Resource versions, uids and fingerprints.
    count: u64,
}

impl Cluster {
    fn next(&mut self) -> u64 {
        self.count += 1;
        self.count
    }

    /// Writes an object, as we do.
    fn apply(&mut self, key: &ObjectKey, digest: Digest) -> Seen {
        let version = self.next();
        let uid = self
            .objects
            .get(key)
            .map_or(version.into(), |object| object.uid);
        let same = self
            .objects
            .get(key)
            .copied()
            .filter(|object| object.value == Some(digest) && object.fingerprint.is_some());
        // An apply that changes nothing leaves the version as it is.
        let object = same.unwrap_or(Object {
            uid,
            version,
            value: Some(digest),
            fingerprint: Some(Fingerprint(version)),
        });
        self.objects.insert(key.clone(), object);
        self.foreign.remove(key);
        object.seen()
    }

    /// Deletes an object, if it is ours.
    fn delete(&mut self, key: &ObjectKey) {
        let ours = |object: &Object| object.fingerprint.is_some();
        if self.objects.get(key).is_some_and(ours) {
            self.objects.remove(key);
        }
    }
}

/// Ends a sync: what it was to do next failed, and it went on, or it is dead.
struct Dead;

/// One process after the other.
struct World {
    /// Whether drift is put right.
    heals: bool,
    cluster: Cluster,
    commit: Commit,
    inventory: Inventory,
    epoch: u32,
    kinds: Kinds,
}

/// Which step fails, whether it has an effect, and whether it is the last.
#[derive(Clone, Copy)]
struct Failure {
    step: usize,
    effect: bool,
    dies: bool,
}

/// What becomes of a step.
enum Step {
    Done,
    /// It had no effect, or it had and nobody was told.
    Lost {
        effect: bool,
    },
}

struct Steps {
    taken: usize,
    failure: Option<Failure>,
}

impl Steps {
    /// Takes a step; the act is done when it has an effect.
    fn take<T>(&mut self, act: impl FnOnce() -> T) -> Result<Option<T>, Dead> {
        let step = match self.failure {
            Some(failure) if failure.step == self.taken => Step::Lost {
                effect: failure.effect,
            },
            _ => Step::Done,
        };
        self.taken += 1;
        match step {
            Step::Done => Ok(Some(act())),
            Step::Lost { effect } => {
                if effect {
                    act();
                }
                match self.failure {
                    Some(failure) if failure.dies => Err(Dead),
                    _ => Ok(None),
                }
            }
        }
    }
}

fn key(name: &str) -> ObjectKey {
    ObjectKey {
        group: "".into(),
        kind: "ConfigMap".into(),
        namespace: Some("shop".into()),
        name: name.into(),
    }
}

fn named(number: u8) -> String {
    format!("n{number}")
}

impl World {
    fn new() -> Self {
        let resource = Resource {
            version: "v1".into(),
            plural: "configmaps".into(),
            namespaced: true,
            watchable: true,
            appliable: true,
        };
        let commit = Commit::from([("stays".to_owned(), 0)]);
        Self {
            heals: true,
            cluster: Cluster::default(),
            commit,
            inventory: Inventory::default(),
            epoch: 0,
            kinds: Kinds::of([("", "ConfigMap", resource)]),
        }
    }

    fn manifests(&self) -> Manifests {
        let declared = self.commit.iter().map(|(name, value)| Declared {
            key: ObjectKey {
                namespace: None,
                ..key(name)
            },
            version: "v1".into(),
            path: format!("{name}.yaml").into(),
            line: 1,
            blob: BlobId([0; 20]),
            index: 0,
            digest: Digest([*value; 16]),
            options: Options::default(),
        });
        Manifests {
            declared: declared.collect(),
            ..Manifests::default()
        }
    }

    fn plan(&self) -> Plan {
        let terms = Terms {
            namespace: "shop",
            heals: self.heals,
            prune: true,
            hidden: false,
            confirmed: true,
            looked: false,
            revision: "c0ffee",
            guard: Guard {
                objects: 10,
                percent: 50,
            },
            others: &[],
            behind: &[],
        };
        plan(&self.manifests(), &self.inventory, &self.kinds, terms)
    }

    /// A new process: it knows what the cluster has.
    fn start(&mut self) {
        self.inventory = Inventory::default();
        for (chunk, bytes) in self.cluster.chunks.iter().rev() {
            let legible = self.inventory.decode(*chunk, bytes);
            assert_eq!(legible, Ok(()));
        }
        self.epoch = 0;
    }

    /// Writes chunks: the new ones before those that lose what has moved to them.
    fn write(&mut self, mut chunks: Vec<u32>, steps: &mut Steps) -> Result<bool, Dead> {
        let known: HashSet<u32> = self.cluster.chunks.keys().copied().collect();
        chunks.sort_by_key(|chunk| (known.contains(chunk), std::cmp::Reverse(*chunk)));
        for chunk in chunks {
            let bytes = self.inventory.encode(chunk);
            let stored = &mut self.cluster.chunks;
            if steps.take(|| stored.insert(chunk, bytes))?.is_none() {
                return Ok(false);
            }
            self.inventory.written(chunk);
        }
        Ok(true)
    }

    fn sync(&mut self, failure: Option<Failure>) -> Result<(), Dead> {
        let mut steps = Steps { taken: 0, failure };
        let plan = self.plan();
        let works: Vec<_> = plan.stages.iter().flatten().collect();
        if !self.heals {
            for work in &works {
                self.inventory.doubt(&work.key);
            }
        }
        let objects = works
            .iter()
            .map(|work| (work.key.clone(), Arc::clone(&work.version)));
        let chunks = self.inventory.announce(objects);
        if !self.write(chunks, &mut steps)? {
            return Ok(());
        }
        let declared = plan.declared.iter();
        self.inventory
            .declared(declared.map(|(key, place)| (key, *place)));
        for key in &plan.forget {
            self.inventory.remove(key);
        }
        for work in works {
            let cluster = &mut self.cluster;
            match steps.take(|| cluster.apply(&work.key, work.digest))? {
                Some(seen) => {
                    let (version, digest) = (&work.version, work.digest);
                    self.inventory
                        .applied(&work.key, version, digest, seen, self.epoch);
                }
                None => self.inventory.failed(&work.key, false),
            }
        }
        for key in &plan.prune {
            let declared = self.commit.contains_key(&*key.name);
            assert!(!declared, "{key} is declared, and was to be deleted");
            let cluster = &mut self.cluster;
            if steps.take(|| cluster.delete(key))?.is_some() {
                self.inventory.remove(key);
            }
        }
        Ok(())
    }

    /// One of the steps of the next sync.
    fn step(&self, index: &Index) -> usize {
        let plan = self.plan();
        let chunks = self.cluster.chunks.len() + 1;
        index.index(plan.to_apply() + plan.prune.len() + chunks + 1)
    }

    /// What the watches of a new list show.
    fn watch(&mut self) {
        self.epoch += 1;
        for (key, object) in &self.cluster.objects {
            // The watches are filtered by our label, which is a field of ours.
            if object.fingerprint.is_some() {
                self.inventory.seen(key, object.seen(), self.epoch);
            }
        }
        self.inventory
            .listed("", "ConfigMap", Some("shop"), self.epoch);
    }

    fn happens(&mut self, event: &Event) {
        match event {
            Event::Commit(changes) => {
                for (number, value) in changes {
                    match value {
                        Some(value) => self.commit.insert(named(*number), *value),
                        None => self.commit.remove(&named(*number)),
                    };
                }
            }
            Event::Many(count) => {
                self.commit.retain(|name, _| !name.starts_with("many"));
                let many = (0..*count).map(|number| (format!("many{number}"), 0));
                self.commit.extend(many);
            }
            Event::Edit(number) => {
                let version = self.cluster.next();
                if let Some(object) = self.cluster.objects.get_mut(&key(&named(*number))) {
                    object.version = version;
                    object.value = None;
                    let ours = object.fingerprint;
                    object.fingerprint = ours.map(|_| Fingerprint(version));
                }
            }
            Event::Delete(number) => {
                let key = key(&named(*number));
                self.cluster.objects.remove(&key);
                self.cluster.foreign.remove(&key);
            }
            Event::Make(number) => {
                let version = self.cluster.next();
                let key = key(&named(*number));
                if !self.cluster.objects.contains_key(&key) {
                    self.cluster.foreign.insert(key.clone());
                    let object = Object {
                        uid: version.into(),
                        version,
                        value: None,
                        fingerprint: None,
                    };
                    self.cluster.objects.insert(key, object);
                }
            }
            Event::Watch => self.watch(),
            Event::Sync(step, effect) => {
                let failure = Failure {
                    step: self.step(step),
                    effect: *effect,
                    dies: false,
                };
                if self.sync(Some(failure)).is_err() {
                    unreachable!("it does not die");
                }
            }
            Event::Die(step, effect) => {
                let failure = Failure {
                    step: self.step(step),
                    effect: *effect,
                    dies: true,
                };
                // The step after the last is none: then it dies when all is done.
                let _ = self.sync(Some(failure));
                self.start();
            }
            Event::Checkpoint(chunks) => {
                let mut steps = Steps {
                    taken: 0,
                    failure: Some(Failure {
                        step: *chunks,
                        effect: false,
                        dies: false,
                    }),
                };
                let _ = self.write(self.inventory.stale(), &mut steps);
            }
        }
    }

    /// Which objects are ours, and what each holds.
    fn ours(&self) -> BTreeMap<String, Option<Digest>> {
        let objects = self.cluster.objects.iter();
        objects
            .filter(|(key, _)| !self.cluster.foreign.contains(*key))
            .map(|(key, object)| (key.name.to_string(), object.value))
            .collect()
    }
}

/// Lets all that happen, and compares the end with a fresh sync.
fn ends_as_a_fresh_sync(events: &[Event], heals: bool) -> Result<(), TestCaseError> {
    let mut world = World::new();
    world.heals = heals;
    for event in events {
        world.happens(event);
    }
    // What a failed step left is tried again, and what the watches show is put right.
    for _ in 0..3 {
        world.watch();
        prop_assert!(world.sync(None).is_ok());
    }

    let mut fresh = World::new();
    fresh.commit = world.commit.clone();
    prop_assert!(fresh.sync(None).is_ok());
    prop_assert_eq!(world.ours(), fresh.ours());
    let known: BTreeSet<_> = world.inventory.iter().map(|(key, _)| key.clone()).collect();
    let wanted: BTreeSet<_> = world.commit.keys().map(|name| key(name)).collect();
    prop_assert_eq!(known, wanted);

    // A second sync writes nothing, in this process or another.
    let quiet = |plan: &Plan| (plan.to_apply(), plan.prune.len(), plan.forget.len()) == (0, 0, 0);
    prop_assert!(quiet(&world.plan()));
    let mut steps = Steps {
        taken: 0,
        failure: None,
    };
    let stale = world.inventory.stale();
    prop_assert!(world.write(stale, &mut steps).is_ok());
    world.start();
    prop_assert!(quiet(&world.plan()));
    prop_assert!(!world.inventory.is_stale());
    world.watch();
    prop_assert!(quiet(&world.plan()));
    Ok(())
}

fn cases(cases: u32) -> ProptestConfig {
    ProptestConfig {
        cases,
        // The same ones each time: what fails here fails everywhere.
        rng_seed: RngSeed::Fixed(1),
        failure_persistence: None,
        ..ProptestConfig::default()
    }
}

proptest! {
    #![proptest_config(cases(1500))]

    #[test]
    fn every_order_of_events_ends_as_a_fresh_sync(events in vec(event(0), 1..20)) {
        ends_as_a_fresh_sync(&events, true)?;
    }

    #[test]
    fn the_same_where_nothing_is_healed_and_nobody_meddles(events in vec(event(0), 1..20)) {
        let by_hand = |event: &Event| {
            matches!(event, Event::Edit(_) | Event::Delete(_) | Event::Make(_))
        };
        let events: Vec<_> = events.into_iter().filter(|event| !by_hand(event)).collect();
        ends_as_a_fresh_sync(&events, false)?;
    }
}

proptest! {
    #![proptest_config(cases(40))]

    #[test]
    fn the_same_while_the_inventory_grows(events in vec(event(4), 1..20)) {
        ends_as_a_fresh_sync(&events, true)?;
    }
}

proptest! {
    #![proptest_config(cases(1000))]

    #[test]
    fn a_plan_deletes_only_what_it_may(
        before in proptest::collection::btree_map(0..40_u8, any::<u8>(), 0..40),
        after in proptest::collection::btree_map(0..40_u8, any::<u8>(), 0..40),
        (prune, hidden, confirmed) in any::<(bool, bool, bool)>(),
    ) {
        let mut world = World::new();
        world.commit = before.iter().map(|(number, value)| (named(*number), *value)).collect();
        prop_assert!(world.sync(None).is_ok());
        world.commit = after.iter().map(|(number, value)| (named(*number), *value)).collect();
        let terms = Terms {
            namespace: "shop",
            heals: true,
            prune,
            hidden,
            confirmed,
            looked: false,
            revision: "c0ffee",
            guard: Guard { objects: 10, percent: 50 },
            others: &[],
            behind: &[],
        };
        let plan = plan(&world.manifests(), &world.inventory, &world.kinds, terms);

        let orphans: BTreeSet<_> = before.keys().filter(|number| !after.contains_key(number)).collect();
        let great = orphans.len() > 10 && orphans.len() * 2 > before.len();
        let all = !before.is_empty() && orphans.len() == before.len() && after.is_empty();
        let may = prune && !hidden && (confirmed || !(great || all));
        prop_assert_eq!(plan.prune.len(), if may { orphans.len() } else { 0 });
        prop_assert_eq!(plan.problems.is_empty(), may || !prune || hidden);
        // Every other object is declared: applied when it differs, and else left alone.
        let differ = after.iter().filter(|(number, value)| before.get(number) != Some(value));
        prop_assert_eq!(plan.to_apply(), differ.count());
        prop_assert_eq!(plan.to_apply() + plan.unchanged, after.len());
        let works: BTreeSet<_> = plan.stages.iter().flatten().map(|work| &work.key).collect();
        prop_assert!(plan.prune.iter().all(|key| !works.contains(key)));
    }
}
