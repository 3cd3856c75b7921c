//! Which kinds are watched, and in which version.

use std::{collections::HashMap, sync::Arc};

use super::{Follow, checks::Checks};
use crate::{Reason, kinds::Resource, observe::Kind, tenant::Chain};

impl Follow {
    /// Whether drift is healed or shown from now on, or neither.
    pub(super) fn heal_otherwise(&mut self) {
        self.checks = Checks::default();
        self.patrol = None;
        self.object_problems
            .retain(|_, problem| problem.reason != Reason::Drift);
    }

    /// Watches every kind of the inventory: for how its objects fare also where drift is left alone.
    pub(super) fn watch_inventory(&mut self) {
        for (kind, resource) in self.kinds_to_watch() {
            self.observer.watch(&kind, &resource);
        }
        self.plan_patrol();
    }

    /// Every kind of the inventory, in a version that is served.
    fn kinds_to_watch(&self) -> Vec<(Kind, Resource)> {
        let mut kinds: HashMap<Kind, &str> = HashMap::new();
        for (key, entry) in self.inventory.iter() {
            kinds.insert(
                (Arc::clone(&key.group), Arc::clone(&key.kind)),
                &entry.version,
            );
        }
        let kinds = kinds.into_iter().filter_map(|(kind, version)| {
            let resource = self.kinds.find(&kind.0, version, &kind.1).ok();
            let resource = resource.or_else(|| self.kinds.preferred(&kind.0, &kind.1))?;
            let resource = resource.clone();
            Some((kind, resource))
        });
        kinds.collect()
    }

    /// A kind is no longer served in the version in which it was watched: it may be in another.
    pub(super) async fn other_versions(&mut self) {
        let discovery = &self.tenant.engine.discovery;
        match discovery.refresh(&self.tenant.client, &self.kinds).await {
            Ok(kinds) => self.kinds = kinds,
            Err(error) => {
                tracing::warn!(error = %Chain(&error), "the kinds are not known anew");
            }
        }
        for (kind, resource) in self.kinds_to_watch() {
            self.observer.watch_anew(&kind, &resource);
        }
    }
}
