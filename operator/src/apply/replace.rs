//! Replacing an object whose immutable fields changed, where its annotation allows it: never before
//! the new one has passed a dry run, and never another object than the one that was judged.

use std::time::Duration;

use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use serde_json::Value;
use tokio::time::{Instant, sleep};

use super::{Applier, Failure, ownership, target};
use crate::{
    fingerprint::{Seen, parse_uid},
    plan::Work,
    requests::{self, Error, Refusal},
};

/// How long a sync waits for an object to be gone. Whatever lingers longer is created by the sync
/// that finds it gone.
const GONE: Duration = Duration::from_secs(10);

impl Applier {
    /// Deletes the live object and creates the declared one. A crash in between leaves an object
    /// that is declared and not there, which the next sync creates.
    pub(super) async fn replace(
        &self,
        work: &Work,
        body: &mut Value,
        immutable: Box<Refusal>,
    ) -> Result<ObjectMeta, Failure> {
        let target = target(work);
        let look = || requests::look(&self.client, target);
        let Some(live) = self.patiently(look).await? else {
            return self.first(work, body).await;
        };
        let Some(seen) = Seen::of(&live, &self.manager) else {
            return Err(Failure::Request(Error::Refused(immutable)));
        };
        let owners = ownership::owners(&live, body, &work.key, &self.manager);
        let firm = self.firm(&owners, work);
        if !firm.is_empty() {
            return Err(Failure::Owned(firm));
        }
        if seen.opted_out {
            return Ok(live);
        }
        if live.deletion_timestamp.is_none() {
            let create = || requests::create(&self.client, target, body, &self.manager, true);
            match self.patiently(create).await {
                // That it exists is found after everything else, see `requests::create`.
                Err(Error::Refused(refusal)) if refusal.reason == "AlreadyExists" => {}
                Ok(_) => {}
                Err(refused) => return Err(Failure::NotReplaceable { immutable, refused }),
            }
            tracing::info!(object = %work.key, path = %work.path, "replaced, since a field that cannot be changed differs");
            let delete = || requests::delete(&self.client, target, seen.uid);
            if self.patiently(delete).await?.is_none() {
                return self.first(work, body).await;
            }
        }
        self.until_gone(work, seen.uid).await?;
        self.first(work, body).await
    }

    async fn until_gone(&self, work: &Work, uid: u128) -> Result<(), Failure> {
        let until = Instant::now() + GONE;
        let mut wait = Duration::from_millis(50);
        loop {
            let look = || requests::look(&self.client, target(work));
            let Some(live) = self.patiently(look).await? else {
                return Ok(());
            };
            // Somebody was faster: whose it is now is for the first apply to find out.
            if live.uid.as_deref().and_then(parse_uid) != Some(uid) {
                return Ok(());
            }
            if Instant::now() > until {
                return Err(Failure::Lingers(live.finalizers.unwrap_or_default()));
            }
            sleep(wait).await;
            wait = (wait * 2).min(Duration::from_secs(1));
        }
    }
}
