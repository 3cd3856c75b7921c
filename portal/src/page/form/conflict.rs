//! What someone else wrote while a form was open, field by field.

use gitmoor_arm::Timestamp;

use super::Form;
use crate::{
    page::text::{When, shown},
    store::Desired,
};

/// What someone else wrote since the form was opened.
pub(in crate::page) struct Conflict {
    pub(in crate::page) by: String,
    pub(in crate::page) at: Option<When>,
    pub(in crate::page) differences: Vec<Difference>,
}

/// A field that says one thing here and another there.
pub(in crate::page) struct Difference {
    pub(in crate::page) label: &'static str,
    pub(in crate::page) yours: String,
    pub(in crate::page) theirs: String,
}

impl Conflict {
    /// Of what is filled in with what there is.
    pub(in crate::page) fn of(form: &Form, there: &Desired) -> Self {
        Self {
            by: shown(&there.last_modified_by),
            at: When::maybe(Some(there.last_modified_at), Timestamp::now()),
            differences: form.differences(&Form::of("", &there.properties, &there.etag)),
        }
    }
}

impl Form {
    /// Where it differs from another.
    fn differences(&self, other: &Self) -> Vec<Difference> {
        let fields = self.texts().into_iter().zip(other.texts());
        fields
            .filter(|((_, yours), (_, theirs))| yours != theirs)
            .map(|((label, yours), (_, theirs))| Difference {
                label,
                yours: shown(&yours),
                theirs: shown(&theirs),
            })
            .collect()
    }

    /// What each field says, but for the secrets.
    fn texts(&self) -> [(&'static str, String); 9] {
        let prune = if self.prune { "yes" } else { "no" };
        let rights = if self.namespaced {
            "this namespace alone"
        } else {
            "the whole cluster"
        };
        let paths: Vec<&str> = self.paths.split(',').map(str::trim).collect();
        [
            ("Repository", self.repository.clone()),
            ("Branch", self.branch.clone()),
            ("Paths", paths.join(", ")),
            ("Ask for new commits every", self.interval.clone()),
            ("Delete objects", prune.to_owned()),
            ("Namespace", self.namespace.clone()),
            ("Rights", rights.to_owned()),
            ("Known hosts", self.known_hosts.clone()),
            ("Operator parameters", self.flags.clone()),
        ]
    }
}
