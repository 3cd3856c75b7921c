//! Comparing a live object with what is declared: read it, and ask the API server what it would be
//! if it were applied. Nothing is written.

use super::{Applier, Failure, refusal, set, target};
use crate::{
    Problem,
    bodies::Bodies,
    differences::{Difference, differences},
    plan::Work,
    requests,
};

/// How a live object stands to what is declared.
#[derive(Debug)]
pub(crate) enum Comparison {
    /// It is as declared.
    Same,
    /// It is not there.
    Missing,
    /// It differs in these fields.
    Differs(Vec<Difference>),
}

impl Applier {
    /// Compares one object.
    pub(crate) async fn compare(
        &self,
        work: &Work,
        bodies: &Bodies,
    ) -> Result<Comparison, Problem> {
        self.compared(work, bodies)
            .await
            .map_err(|failure| refusal::explain(work, &self.name, &failure))
    }

    async fn compared(&self, work: &Work, bodies: &Bodies) -> Result<Comparison, Failure> {
        let target = target(work);
        let read = || requests::read(&self.client, target);
        let Some(live) = self.patiently(read).await? else {
            return Ok(Comparison::Missing);
        };
        let mut body = bodies
            .object(work.blob, work.index)
            .map_err(Failure::Unreadable)?;
        self.mark(work, &mut body);
        if let Some(uid) = live["metadata"]["uid"].as_str() {
            set(&mut body, &["metadata", "uid"], uid.to_owned());
        }
        let would_be = || requests::would_be(&self.client, target, &body, &self.manager);
        let wanted = self.patiently(would_be).await?;
        let is_secret = &*work.key.kind == "Secret" && work.key.group.is_empty();
        let found = differences(&live, &wanted, &self.manager, is_secret);
        Ok(if found.is_empty() {
            Comparison::Same
        } else {
            Comparison::Differs(found)
        })
    }
}
