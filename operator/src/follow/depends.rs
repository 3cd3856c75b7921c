//! A configuration that depends on others applies a commit when they are ready, and not before. Their
//! watch tells; nobody asks.

use kube::ResourceExt as _;

use super::Follow;
use crate::{report::Obstacle, siblings::Awaited, snapshot::CommitId};

impl Follow {
    /// Whether a commit must not be applied yet; says so in the status. Once it may, it may: what it
    /// depends on can become unready without taking it along.
    pub(super) fn is_held_up(&mut self, commit: CommitId) -> bool {
        let this = (commit, self.object.metadata.generation);
        let status = self.object.status.as_ref();
        let was_applied = status.is_some_and(|status| {
            status.applied_revision == Some(commit.to_string())
                && status.observed_generation == this.1
        });
        if self.released == Some(this) || (self.released.is_none() && was_applied) {
            self.released = Some(this);
            self.waits_for(None);
            return false;
        }
        let name = self.object.name_any();
        let awaited = self.tenant.siblings.awaited(&name, &self.object, commit);
        if awaited.is_none() {
            self.released = Some(this);
        }
        let held_up = awaited.is_some();
        self.waits_for(awaited.map(obstacle));
        held_up
    }

    fn waits_for(&mut self, dependency: Option<Obstacle>) {
        if self.facts.dependency != dependency {
            if let Some(dependency) = &dependency {
                tracing::info!(reason = dependency.reason, "{}", dependency.message);
            }
            self.facts.dependency = dependency;
            self.reporter.changed();
        }
    }
}

fn obstacle(awaited: Awaited) -> Obstacle {
    let (reason, message) = match awaited {
        Awaited::NotReady(other) => (
            "DependencyNotReady",
            format!("waits until the configuration {other} is ready"),
        ),
        Awaited::Missing(other) => (
            "DependencyNotReady",
            format!(
                "waits for the configuration {other}, which does not exist in this namespace: make it, or take it out of dependsOn"
            ),
        ),
        Awaited::Circle(circle) => {
            let way = circle.join(" depends on ");
            let first = circle.first().map_or("", String::as_str);
            return Obstacle {
                reason: "DependencyCircle".to_owned(),
                message: format!(
                    "{way} depends on {first}, so that none can be first: take one of them out of dependsOn"
                ),
                stalled: true,
            };
        }
    };
    Obstacle {
        reason: reason.to_owned(),
        message,
        stalled: false,
    }
}
