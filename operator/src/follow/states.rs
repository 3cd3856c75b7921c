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
        let judged = self.inventory.iter().map(|(key, entry)| {
            let (status, message) = match (self.object_problems.get(key), self.ill(key)) {
                (Some(problem), _) => (Status::Failed, problem.message.as_str()),
                (None, Some(health)) => (health.status, health.message.as_str()),
                (None, None) if entry.live == Live::Gone => (Status::NotFound, ""),
                (None, None) => (Status::Current, ""),
            };
            (status == Status::Current, key, status, message)
        });
        listed(judged.collect())
    }
}

fn listed(mut objects: Vec<Judged<'_>>) -> Vec<ObjectState> {
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn of_more_than_a_thousand_those_that_are_not_well_are_listed_first() {
        let key = |name: String| ObjectKey {
            group: "".into(),
            kind: "ConfigMap".into(),
            namespace: Some("shop".into()),
            name: name.into(),
        };
        let keys: Vec<_> = (0..MAX_OBJECTS + 5)
            .map(|number| key(format!("c{number:04}")))
            .collect();
        let last = key("z".to_owned());
        let well = |key| (true, key, Status::Current, "");
        let mut objects: Vec<_> = keys.iter().rev().map(well).collect();
        let why = "é".repeat(MAX_MESSAGE + 1);
        objects.insert(0, (false, &last, Status::Failed, &why));
        let states = listed(objects);
        assert_eq!(states.len(), MAX_OBJECTS);
        assert_eq!(states[0].object, "ConfigMap shop/z");
        assert_eq!(states[0].message, "é".repeat(MAX_MESSAGE));
        let names = states[1..].iter().map(|state| state.object.clone());
        let wanted = (0..MAX_OBJECTS - 1).map(|number| format!("ConfigMap shop/c{number:04}"));
        assert!(names.eq(wanted));
    }
}
