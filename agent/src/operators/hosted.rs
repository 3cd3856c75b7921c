//! An operator that runs as a task of the agent, with the identity of its own ServiceAccount. One
//! that ends or breaks is started again, and costs the others nothing.

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use gitmoor_operator::{Assignment, Engine, Error, connections::Identity};
use tokio::{
    task::{JoinError, JoinHandle},
    time::{sleep, timeout},
};
use tokio_util::sync::CancellationToken;

use super::{Context, tokens::AccountTokens};
use crate::{backoff::Backoff, names::operator, pair::Pair};

/// How long an operator may take to finish what is under way.
const STOP_WITHIN: Duration = Duration::from_secs(15);

/// After so long a run, a failure counts as the first one.
const LONG_RUN: Duration = Duration::from_mins(10);

/// A running operator.
pub(super) struct Hosted {
    cancel: CancellationToken,
    task: Aborted<()>,
}

impl Hosted {
    pub(super) fn start(context: &Context, pair: &Pair) -> Self {
        let home = pair.home(&context.settings.namespace).to_owned();
        let tokens = AccountTokens::new(context.client.clone(), &home, operator(pair));
        let assignment = Assignment {
            namespace: pair.namespace.clone(),
            scope: pair.scope,
            home,
        };
        let cancel = context.cancel.child_token();
        let task = tokio::spawn(keep_serving(
            Arc::clone(&context.engine),
            assignment,
            Identity::Tokens(Arc::new(tokens)),
            cancel.clone(),
        ));
        Self {
            cancel,
            task: Aborted(task),
        }
    }

    /// Ends it, gently at first.
    pub(super) async fn stop(mut self) {
        self.cancel.cancel();
        if timeout(STOP_WITHIN, &mut self.task.0).await.is_err() {
            tracing::warn!("an operator did not end within {} s", STOP_WITHIN.as_secs());
        }
    }
}

async fn keep_serving(
    engine: Arc<Engine>,
    assignment: Assignment,
    identity: Identity,
    cancel: CancellationToken,
) {
    let mut backoff = Backoff::new(Duration::from_secs(1), Duration::from_mins(5));
    loop {
        let start = Instant::now();
        // A task of its own: a panic ends that one only. Dropped with this one, it ends too.
        let mut task = Aborted(tokio::spawn(Arc::clone(&engine).serve(
            assignment.clone(),
            identity.clone(),
            cancel.clone(),
        )));
        let ended = (&mut task.0).await;
        if cancel.is_cancelled() {
            return;
        }
        report(&assignment, &ended);
        if start.elapsed() > LONG_RUN {
            backoff.reset();
        }
        tokio::select! {
            () = sleep(backoff.wait()) => {}
            () = cancel.cancelled() => return,
        }
    }
}

fn report(assignment: &Assignment, ended: &Result<Result<(), Error>, JoinError>) {
    let error: &dyn std::error::Error = match ended {
        Ok(Ok(())) => &EndedUnasked,
        Ok(Err(error)) => error,
        Err(error) => error,
    };
    tracing::error!(
        namespace = assignment.namespace,
        scope = assignment.scope.name(),
        error,
        "an operator ended; starting it again"
    );
}

#[derive(Debug, thiserror::Error)]
#[error("it was not asked to")]
struct EndedUnasked;

/// A task that does not outlive its handle.
struct Aborted<T>(JoinHandle<T>);

impl<T> Drop for Aborted<T> {
    fn drop(&mut self) {
        self.0.abort();
    }
}
