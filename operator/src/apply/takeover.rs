//! The first apply of an object that we do not hold yet. It is sent without force, so that the
//! server says when others hold it: people's tools are taken over completely, engines and other
//! configurations are not, unless they let go or the configuration says so.

use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use serde_json::Value;

use super::{ATTEMPTS, Applier, Failure, ownership, refusal, set, target, unset};
use crate::{
    fingerprint::Seen,
    plan::Work,
    requests::{self, Error, Refusal},
};
use ownership::Owner;

impl Applier {
    pub(super) async fn first(&self, work: &Work, body: &mut Value) -> Result<ObjectMeta, Failure> {
        if work.wary {
            let look = || requests::look(&self.client, target(work));
            if let Some(metadata) = self.patiently(look).await? {
                let owners = ownership::owners(&metadata, body, &work.key, &self.manager);
                let firm = self.firm(&owners, work);
                if !firm.is_empty() {
                    return Err(Failure::Owned(firm));
                }
            }
        }
        let mut refused = None;
        for _ in 0..ATTEMPTS {
            let (metadata, conflict) = match self.request(work, body, false).await {
                Ok(metadata) => (metadata, None),
                Err(Error::Refused(refusal))
                    if refusal.code == 409 && !refusal::other_owners(&refusal).is_empty() =>
                {
                    let look = || requests::look(&self.client, target(work));
                    match self.patiently(look).await? {
                        Some(metadata) => (metadata, Some(refusal)),
                        // Deleted since: now there is nobody to ask.
                        None => continue,
                    }
                }
                Err(other) => return Err(other.into()),
            };
            let applied = conflict.is_none();
            if Seen::of(&metadata, &self.manager).is_some_and(|seen| seen.opted_out) {
                return if applied {
                    Ok(self.withdraw(work, body, &metadata).await?)
                } else {
                    Ok(metadata)
                };
            }
            let owners = ownership::owners(&metadata, body, &work.key, &self.manager);
            let firm = self.firm(&owners, work);
            if !firm.is_empty() {
                if applied {
                    self.withdraw(work, body, &metadata).await?;
                }
                return Err(Failure::Owned(firm));
            }
            let fold = ownership::fold(&metadata, body, &owners, &self.manager);
            if fold.is_none() && applied {
                return Ok(metadata);
            }
            match self.take(work, body, &metadata, fold.as_ref()).await {
                // It has changed, or is another one, since it was looked at.
                Err(Error::Refused(refusal)) if refusal.code == 409 => {
                    refused = Some(conflict.unwrap_or(refusal));
                }
                other => return Ok(other?),
            }
        }
        Err(refused.map_or_else(
            || Failure::Request(Error::Illegible("the object comes and goes".to_owned())),
            |refusal| Failure::Request(Error::Refused(refusal)),
        ))
    }

    /// The owners from whom an object is not taken.
    pub(super) fn firm(&self, owners: &[Owner], work: &Work) -> Vec<Owner> {
        let firm = |owner: &&Owner| match owner {
            Owner::Configuration(manager) => !self.siblings.lets_go(manager, &work.key),
            Owner::Engine(..) => !self.adopt,
        };
        owners.iter().filter(firm).cloned().collect()
    }

    /// Makes what others hold ours, then applies it by force.
    async fn take(
        &self,
        work: &Work,
        body: &mut Value,
        metadata: &ObjectMeta,
        fold: Option<&Value>,
    ) -> Result<ObjectMeta, Error> {
        if let Some(patch) = fold {
            let amend = || requests::amend(&self.client, target(work), patch, &self.manager);
            self.patiently(amend).await?;
        }
        if let Some(uid) = &metadata.uid {
            set(body, &["metadata", "uid"], uid.clone());
        }
        let result = self.request(work, body, true).await;
        unset(body, "uid");
        result
    }

    /// Takes back a first apply that should not have been: what we alone hold goes, what others
    /// hold as well stays.
    async fn withdraw(
        &self,
        work: &Work,
        body: &Value,
        metadata: &ObjectMeta,
    ) -> Result<ObjectMeta, Error> {
        let nothing = ownership::nothing(body, metadata.uid.as_deref());
        match self.request(work, &nothing, false).await {
            // It is gone, and our marks with it.
            Err(Error::Refused(refusal)) if is_gone(&refusal) => Ok(metadata.clone()),
            other => other,
        }
    }
}

fn is_gone(refusal: &Refusal) -> bool {
    refusal.code == 409 && refusal::other_owners(refusal).is_empty()
}
