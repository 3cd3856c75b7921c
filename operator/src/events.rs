//! What is told as Kubernetes events, for people who look at an object and not at a status. Pure:
//! which event a report comes to, and how many are too many; [`sender`] does the I/O.

pub(crate) mod sender;

use std::{
    collections::HashMap,
    hash::{DefaultHasher, Hasher as _},
    sync::Arc,
    time::Duration,
};

use gitmoor_crds::{Counts, SourceControlConfigurationStatus, conditions, reasons};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Condition;
use tokio::time::Instant;

use crate::ObjectKey;

/// How many events a configuration may have told at once, and after how long it may tell one more. A
/// commit with a thousand bad objects has its full account in the status and in the log.
const BURST: u32 = 25;
const REFILL: Duration = Duration::from_secs(30);

/// The same event within this time is one of a series: the API server forgets events after an hour.
const SERIES: Duration = Duration::from_mins(30);

/// How many events are remembered for that.
const REMEMBERED: usize = 64;

/// The API server refuses longer notes, in bytes.
const NOTE: usize = 1024;

/// Whether somebody should do something.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Sort {
    /// All is as it should be.
    Normal,
    /// Something is not.
    Warning,
}

impl Sort {
    /// The word in the event.
    pub fn name(self) -> &'static str {
        match self {
            Self::Normal => "Normal",
            Self::Warning => "Warning",
        }
    }
}

/// A live object that an event is about.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct About {
    /// Which.
    pub key: ObjectKey,
    /// In which version it was applied.
    pub version: Arc<str>,
    /// Its uid: `kubectl describe` shows an object's events by it.
    pub uid: u128,
}

/// Something to be told.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Event {
    /// How serious it is.
    pub sort: Sort,
    /// A stable word in CamelCase: a reason of `Ready`, of a problem, or `Healed`.
    pub reason: String,
    /// What was being done, as a stable word.
    pub action: &'static str,
    /// What there is to say.
    pub note: String,
    /// The object that it is about; the configuration itself when absent.
    pub about: Option<About>,
}

impl Event {
    /// An event with its note as long as the API server takes it.
    pub fn new(sort: Sort, reason: &str, action: &'static str, mut note: String) -> Self {
        if note.len() > NOTE {
            let end = note.floor_char_boundary(NOTE - '…'.len_utf8());
            note.truncate(end);
            note.push('…');
        }
        Self {
            sort,
            reason: reason.to_owned(),
            action,
            note,
            about: None,
        }
    }

    fn hash(&self) -> u64 {
        let mut hasher = DefaultHasher::new();
        std::hash::Hash::hash(self, &mut hasher);
        hasher.finish()
    }
}

/// What `Ready` said, by which it is seen that it says something else now.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Said {
    status: String,
    reason: String,
    applied: Option<String>,
}

impl From<&SourceControlConfigurationStatus> for Said {
    fn from(status: &SourceControlConfigurationStatus) -> Self {
        let ready = ready(status);
        Self {
            status: ready.map_or(String::new(), |ready| ready.status.clone()),
            reason: ready.map_or(String::new(), |ready| ready.reason.clone()),
            applied: status.applied_revision.clone(),
        }
    }
}

fn ready(status: &SourceControlConfigurationStatus) -> Option<&Condition> {
    let mut conditions = status.conditions.iter();
    conditions.find(|one| one.type_ == conditions::READY)
}

/// The event of a report: what `Ready` says, when that is something else than was `told` last, or
/// about another commit that changed an object.
pub fn of_report(told: &Said, status: &SourceControlConfigurationStatus) -> Option<Event> {
    let ready = ready(status)?;
    let did_something = |counts: Counts| counts.changed > 0 || counts.pruned > 0;
    let is_new_commit =
        told.applied != status.applied_revision && status.objects.is_some_and(did_something);
    let is_same = told.status == ready.status && told.reason == ready.reason;
    let is_on_its_way = ready.status == "Unknown";
    if !is_new_commit && (is_same || is_on_its_way) {
        return None;
    }
    let sort = match ready.status == "False" && ready.reason != reasons::SUSPENDED {
        true => Sort::Warning,
        false => Sort::Normal,
    };
    let mut note = ready.message.clone();
    if let (true, Some(counts)) = (is_new_commit, status.objects) {
        let Counts {
            changed, pruned, ..
        } = counts;
        note += &format!("; {changed} objects changed, {pruned} deleted");
    }
    Some(Event::new(sort, &ready.reason, "Sync", note))
}

/// How an event is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Entry {
    /// As a new object, of which this is the number.
    New(u64),
    /// As one more of a series, whose first has this number.
    Again(u64, u32),
}

/// What was told lately: it keeps the number of events bounded, whatever happens.
#[derive(Debug)]
pub struct Ledger {
    left: u32,
    refilled: Instant,
    told: HashMap<u64, Told>,
}

#[derive(Debug)]
struct Told {
    number: u64,
    count: u32,
    last: Instant,
}

impl Ledger {
    /// Nothing was told yet.
    pub fn new(now: Instant) -> Self {
        Self {
            left: BURST,
            refilled: now,
            told: HashMap::new(),
        }
    }

    /// How to write an event, if it may be. `number` is one that no other event has.
    pub fn enter(&mut self, event: &Event, number: u64, now: Instant) -> Option<Entry> {
        while self.left < BURST && now.duration_since(self.refilled) >= REFILL {
            self.left += 1;
            self.refilled += REFILL;
        }
        if self.left == BURST {
            self.refilled = now;
        }
        self.left = self.left.checked_sub(1)?;
        self.told
            .retain(|_, told| now.duration_since(told.last) < SERIES);
        if let Some(told) = self.told.get_mut(&event.hash()) {
            told.count = told.count.saturating_add(1);
            told.last = now;
            return Some(Entry::Again(told.number, told.count));
        }
        if self.told.len() == REMEMBERED {
            let oldest = self.told.iter().min_by_key(|(_, told)| told.last);
            if let Some(oldest) = oldest.map(|(hash, _)| *hash) {
                self.told.remove(&oldest);
            }
        }
        let told = Told {
            number,
            count: 1,
            last: now,
        };
        self.told.insert(event.hash(), told);
        Some(Entry::New(number))
    }

    /// The API server has forgotten an event before us: it is told as a new one, of this number.
    pub fn forgotten(&mut self, event: &Event, number: u64) {
        if let Some(told) = self.told.get_mut(&event.hash()) {
            told.number = number;
            told.count = 1;
        }
    }
}
