//! Which events a configuration is told by: what `Ready` says when it says something else, each new
//! problem at its object, and what was put right.

use std::{
    collections::HashSet,
    hash::{DefaultHasher, Hash as _, Hasher as _},
};

use gitmoor_crds::{Problem as Reported, SourceControlConfigurationStatus};

use super::Follow;
use crate::{
    ObjectKey, Problem,
    events::{About, Event, Said, Sort, of_report, sender::Events},
    inventory::Live,
    key::some_of,
    report::{reported, sentence},
};

/// How many new problems of a report are told at their objects; the status has them all.
const PROBLEMS: usize = 20;

/// What was told so far.
pub(super) struct Told {
    events: Events,
    /// What `Ready` said then.
    said: Said,
    /// Which problems, as hashes of what makes them the same.
    problems: HashSet<u64>,
}

impl Told {
    /// Nothing is told again that an earlier process has written into the status.
    pub(super) fn new(events: Events, status: Option<&SourceControlConfigurationStatus>) -> Self {
        let problems = status.iter().flat_map(|status| &status.problems);
        Self {
            events,
            said: status.map(Said::from).unwrap_or_default(),
            problems: problems.map(identity).collect(),
        }
    }
}

/// Two problems with the same are one that stays.
fn identity(problem: &Reported) -> u64 {
    let mut hasher = DefaultHasher::new();
    (&problem.path, &problem.object, &problem.reason).hash(&mut hasher);
    hasher.finish()
}

impl Follow {
    /// Tells what a report has told that was not told before.
    pub(super) fn tell_report(&mut self, problems: &[Problem]) {
        let status = self.reporter.written();
        if let Some(event) = of_report(&self.told.said, status) {
            self.told.said = Said::from(status);
            self.told.events.tell(event);
        }
        let faults = problems
            .iter()
            .filter(|problem| !problem.reason.is_warning());
        let mut known = HashSet::new();
        let mut new = Vec::new();
        for problem in faults {
            let identity = identity(&reported(problem));
            if known.insert(identity) && !self.told.problems.contains(&identity) {
                new.push(problem);
            }
        }
        self.told.problems = known;
        for problem in new.into_iter().take(PROBLEMS) {
            let mut event = Event::new(
                Sort::Warning,
                problem.reason.name(),
                "Sync",
                sentence(problem),
            );
            event.about = self.about(problem);
            self.told.events.tell(event);
        }
    }

    /// The live object of a problem; what is not there can have no events.
    fn about(&self, problem: &Problem) -> Option<About> {
        let key = problem.object.as_ref()?;
        let entry = self.inventory.find(key)?;
        let uid = match entry.live {
            Live::There { seen, .. } => seen.uid,
            Live::Unknown => entry.applied?.0,
            Live::Gone => return None,
        };
        Some(About {
            key: key.clone(),
            version: entry.version.clone(),
            uid,
        })
    }

    /// Tells which objects were put right.
    pub(super) fn tell_healed(&self, healed: &[(ObjectKey, bool)]) {
        if healed.is_empty() {
            return;
        }
        let named = some_of(healed.iter().map(|(key, _)| key));
        let note = format!("put right what somebody had changed: {named}");
        let event = Event::new(Sort::Normal, "Healed", "Heal", note);
        self.told.events.tell(event);
    }
}
