//! The keeper of one operator: its rights first, then the operator; at the end the other way round.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
    time::Duration,
};

use gitmoor_operator::fingerprint::Seen;
use tokio::{sync::watch, time::sleep};

use super::{
    Context,
    apply::{self, Error},
    hosted::Hosted,
    release::release,
};
use crate::{
    backoff::Backoff,
    digest::digest,
    objects::{ObjectKey, objects},
    pair::Pair,
    settings::Runtime,
};

/// What a keeper is told.
#[derive(Clone, Debug)]
pub(super) struct Wanted {
    /// The configurations of the pair; none: the operator has to go.
    names: BTreeSet<String>,
    /// Counts the times that something happened to what was made.
    looks: u64,
}

impl Wanted {
    pub(super) fn new(names: BTreeSet<String>) -> Self {
        Self { names, looks: 0 }
    }

    pub(super) fn names(&self) -> BTreeSet<String> {
        self.names.clone()
    }

    pub(super) fn replace(&mut self, names: BTreeSet<String>) -> bool {
        let new = names != self.names;
        self.names = names;
        new
    }

    pub(super) fn look(&mut self) {
        self.looks += 1;
    }
}

/// The digest of what was applied last, and what the server made of it.
type Applied = BTreeMap<ObjectKey, (u64, Seen)>;

/// Keeps an operator until nothing is wanted of it and all that was made for it is gone, or until
/// the agent stops: then nothing is taken away.
pub(super) async fn keep(context: Arc<Context>, pair: Pair, mut wanted: watch::Receiver<Wanted>) {
    let mut backoff = Backoff::new(Duration::from_secs(1), Duration::from_mins(5));
    let mut applied = Applied::new();
    let mut hosted: Option<Hosted> = None;
    while !context.cancel.is_cancelled() {
        let names = wanted.borrow_and_update().names();
        let outcome = if names.is_empty() {
            applied.clear();
            if let Some(hosted) = hosted.take() {
                tracing::info!(operator = %pair, "its last configuration is gone: the operator stops");
                hosted.stop().await;
            }
            remove(&context, &pair, |_| true).await
        } else {
            let outcome = ensure(&context, &pair, &names, &mut applied).await;
            if outcome.is_ok() && hosted.is_none() && context.settings.runtime == Runtime::InProcess
            {
                hosted = Some(Hosted::start(&context, &pair));
            }
            outcome
        };
        let wait = match outcome {
            Ok(()) if applied.is_empty() => return,
            Ok(()) => {
                backoff.reset();
                None
            }
            // Its objects go with it, and an operator without rights cannot let go of anything.
            Err(error) if error.is_namespace_terminating() => {
                release_all(&context, &pair, &wanted).await;
                Some(backoff.wait())
            }
            Err(error) => {
                tracing::warn!(
                    operator = %pair,
                    error = &error as &dyn std::error::Error,
                    "give an operator its rights; trying again"
                );
                Some(backoff.wait())
            }
        };
        tokio::select! {
            () = context.cancel.cancelled() => {}
            told = wanted.changed() => if told.is_err() { break },
            () = sleep(wait.unwrap_or_default()), if wait.is_some() => {}
        }
    }
    if let Some(hosted) = hosted {
        hosted.stop().await;
    }
}

async fn release_all(context: &Context, pair: &Pair, wanted: &watch::Receiver<Wanted>) {
    let names = wanted.borrow().names();
    for name in names {
        if let Err(error) = release(&context.client, &pair.namespace, &name).await {
            tracing::warn!(
                operator = %pair,
                configuration = name,
                error = &error as &dyn std::error::Error,
                "let go of a configuration in a namespace that is being deleted; trying again"
            );
        }
    }
}

/// Applies those objects that the operator needs and that are not there as they were applied, and
/// removes those that it no longer needs.
async fn ensure(
    context: &Context,
    pair: &Pair,
    names: &BTreeSet<String>,
    applied: &mut Applied,
) -> Result<(), Error> {
    let wanted = objects(pair, names, &context.settings);
    let keys: BTreeSet<ObjectKey> = wanted.iter().map(|(key, _)| key.clone()).collect();
    for (key, object) in wanted {
        let digest = digest(&object);
        if let Some((before, seen)) = applied.get(&key)
            && *before == digest
            && !context.made.drifted(pair, &key, seen)
        {
            continue;
        }
        let _writer = context.writers.acquire().await;
        let seen = apply::apply(&context.client, &key, &object).await?;
        applied.insert(key, (digest, seen));
    }
    // Such as the Deployment of an operator that is hosted in the agent now.
    remove(context, pair, |key| !keys.contains(key)).await
}

/// Removes those objects of a pair that exist.
async fn remove(
    context: &Context,
    pair: &Pair,
    unwanted: impl Fn(&ObjectKey) -> bool,
) -> Result<(), Error> {
    let surplus = context.made.live(pair);
    for (key, uid) in surplus.iter().filter(|(key, _)| unwanted(key)) {
        let _writer = context.writers.acquire().await;
        apply::delete(&context.client, key, uid).await?;
        context.made.deleted(pair, key);
        tracing::info!(operator = %pair, object = %key, "removed");
    }
    Ok(())
}
