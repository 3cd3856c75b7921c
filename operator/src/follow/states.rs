//! How each object fares, for the status: as many as it lists, those that are not well first.

use gitmoor_crds::{MAX_OBJECTS, ObjectState};

use super::Follow;
use crate::{ObjectKey, health::Status, inventory::Live};

/// The longest message, in characters: the problems have the whole.
const MAX_MESSAGE: usize = 256;

/// Whether it is well, which object, how it fares, and why.
type Judged<'a> = (bool, &'a ObjectKey, Status, &'a str);

impl Follow {
    pub(super) fn states(&self) -> Vec<ObjectState> {
        let mut objects: Vec<Judged<'_>> = self
            .inventory
            .iter()
            .map(|(key, entry)| {
                let (status, message) = match (self.object_problems.get(key), self.ill(key)) {
                    (Some(problem), _) => (Status::Failed, problem.message.as_str()),
                    (None, Some(health)) => (health.status, health.message.as_str()),
                    (None, None) if entry.live == Live::Gone => (Status::NotFound, ""),
                    (None, None) => (Status::Current, ""),
                };
                (status == Status::Current, key, status, message)
            })
            .collect();
        let order = |a: &Judged<'_>, b: &Judged<'_>| (a.0, a.1).cmp(&(b.0, b.1));
        if objects.len() > MAX_OBJECTS {
            objects.select_nth_unstable_by(MAX_OBJECTS, order);
            objects.truncate(MAX_OBJECTS);
        }
        objects.sort_unstable_by(order);
        let state = |(_, key, status, message): Judged<'_>| ObjectState {
            object: key.to_string(),
            health: status.name().to_owned(),
            message: message.chars().take(MAX_MESSAGE).collect(),
        };
        objects.into_iter().map(state).collect()
    }
}
