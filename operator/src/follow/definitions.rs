//! Kinds that a commit itself brings: its definitions go first, and their objects wait for them.

use std::{collections::HashMap, sync::Arc};

use tokio::time::{Duration, Instant, sleep};

use super::{Follow, sync::blocked};
use crate::{Problem, Reason, apply, plan::Work, tenant::Chain};

/// How long a new kind may take until the API server serves it.
const ESTABLISHED: Duration = Duration::from_secs(20);

/// Definitions by the group and kind that they bring, with the versions.
pub(super) type Definitions = HashMap<(String, String), (Work, Vec<String>)>;

impl Follow {
    /// What the definitions among some objects bring.
    pub(super) fn definitions(&self, works: &[Work]) -> Definitions {
        let mut definitions = Definitions::new();
        for work in works {
            // What cannot be read is said when it is to be applied.
            let Ok(body) = self.bodies.object(work.blob, work.index) else {
                continue;
            };
            for (group, kind, version) in apply::definitions(&work.key, &body) {
                let definition = definitions.entry((group, kind));
                let (_, versions) = definition.or_insert_with(|| (work.clone(), Vec::new()));
                versions.push(version);
            }
        }
        definitions
    }

    /// Asks for the kinds anew, until those of the definitions that were applied are there or it
    /// has taken too long. False when the sync shall end.
    pub(super) async fn await_kinds(&mut self, definitions: &Definitions) -> bool {
        let until = Instant::now() + ESTABLISHED;
        loop {
            let engine = Arc::clone(&self.tenant.engine);
            match engine
                .discovery
                .refresh(&self.tenant.client, &self.kinds)
                .await
            {
                Ok(kinds) => self.kinds = kinds,
                Err(error) => {
                    tracing::warn!(error = %Chain(&error), "the kinds are not known anew")
                }
            }
            let missing = definitions.iter().any(|((group, kind), (work, versions))| {
                let mut versions = versions.iter();
                !self.object_problems.contains_key(&work.key)
                    && versions.any(|version| self.kinds.find(group, version, kind).is_err())
            });
            if !missing || Instant::now() > until {
                return true;
            }
            let cancel = self.cancel.clone();
            tokio::select! {
                () = sleep(Duration::from_millis(100)) => {}
                () = cancel.cancelled() => return false,
                () = self.out_of_date() => return false,
            }
        }
    }

    /// An object whose definition failed is not a second error.
    pub(super) fn blocked_by_definition(&self, problem: &mut Problem, definitions: &Definitions) {
        let Some(object) = &problem.object else {
            return;
        };
        if !matches!(problem.reason, Reason::UnknownKind | Reason::UnknownVersion) {
            return;
        }
        let kind = (object.group.to_string(), object.kind.to_string());
        if let Some((work, _)) = definitions.get(&kind) {
            *problem = blocked(problem.clone(), &work.key, &work.path, Some(work.line));
        }
    }
}
