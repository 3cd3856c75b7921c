//! One operator: watches the configurations of its namespace and scope, and follows each.

use std::{collections::HashMap, sync::Arc, time::Duration};

use futures::StreamExt as _;
use gitmoor_crds::SourceControlConfiguration;
use kube::{
    Api, Client, ResourceExt as _,
    runtime::watcher::{self, Event, watcher},
};
use rand::Rng as _;
use tokio::{sync::watch, task::JoinSet, time::sleep};
use tokio_util::sync::CancellationToken;

use crate::{
    Assignment, engine::Engine, follow, observe::watch_seconds, pace::spread, siblings::Siblings,
};

/// How long to wait after the watch failed, at first and at most.
const RETRY: (Duration, Duration) = (Duration::from_millis(500), Duration::from_secs(30));

/// What every configuration of an operator shares.
pub(crate) struct Tenant {
    pub(crate) engine: Arc<Engine>,
    pub(crate) assignment: Assignment,
    /// With the rights of the operator.
    pub(crate) client: Client,
    /// Which process this is: it changes at each start.
    pub(crate) instance: String,
    /// What its configurations know of each other.
    pub(crate) siblings: Arc<Siblings>,
}

/// A configuration that is followed: `None` when it has been deleted.
type Newest = Option<Arc<SourceControlConfiguration>>;

/// Serves the configurations of an assignment until it is cancelled.
pub(crate) async fn serve(
    engine: Arc<Engine>,
    assignment: Assignment,
    client: Client,
    cancel: CancellationToken,
) {
    let tenant = Arc::new(Tenant {
        engine,
        client,
        instance: format!("{:016x}", rand::rng().random::<u64>()),
        siblings: Arc::new(Siblings::new(&assignment.namespace, assignment.scope)),
        assignment,
    });
    let mut followed = Followed {
        tenant: Arc::clone(&tenant),
        newest: HashMap::new(),
        listed: Vec::new(),
        tasks: JoinSet::new(),
        cancel: cancel.child_token(),
    };
    tokio::select! {
        () = followed.watch() => {}
        () = cancel.cancelled() => {}
    }
    // Each finishes what it has under way.
    followed.cancel.cancel();
    while followed.tasks.join_next().await.is_some() {}
}

struct Followed {
    tenant: Arc<Tenant>,
    newest: HashMap<String, watch::Sender<Newest>>,
    /// What the list that is being read has named so far.
    listed: Vec<String>,
    tasks: JoinSet<()>,
    cancel: CancellationToken,
}

impl Followed {
    async fn watch(&mut self) {
        let tenant = Arc::clone(&self.tenant);
        let namespace = &tenant.assignment.namespace;
        let api: Api<SourceControlConfiguration> =
            Api::namespaced(tenant.client.clone(), namespace);
        let config = watcher::Config::default().timeout(watch_seconds());
        let mut stream = std::pin::pin!(watcher(api, config));
        let mut wait = RETRY.0;
        while let Some(event) = stream.next().await {
            match event {
                Ok(event) => {
                    // A list that begins has not been answered yet.
                    if !matches!(event, Event::Init) {
                        wait = RETRY.0;
                    }
                    self.event(event);
                }
                Err(error) => {
                    tracing::warn!(%namespace, error = %Chain(&error), "watch of the configurations interrupted");
                    sleep(spread(wait)).await;
                    wait = (wait * 2).min(RETRY.1);
                }
            }
        }
    }

    fn event(&mut self, event: Event<SourceControlConfiguration>) {
        match event {
            Event::Init => self.listed.clear(),
            Event::InitApply(object) => {
                self.listed.push(object.name_any());
                self.newest(object);
            }
            Event::InitDone => {
                let listed = std::mem::take(&mut self.listed);
                let gone: Vec<_> = self
                    .newest
                    .keys()
                    .filter(|name| !listed.contains(name))
                    .cloned()
                    .collect();
                for name in gone {
                    self.deleted(&name);
                }
                self.tenant.siblings.complete(&listed);
                self.tenant.engine.metrics.listed();
            }
            Event::Apply(object) => self.newest(object),
            Event::Delete(object) => self.deleted(&object.name_any()),
        }
        // Tasks of deleted configurations that have ended.
        while self.tasks.try_join_next().is_some() {}
    }

    fn newest(&mut self, object: SourceControlConfiguration) {
        let name = object.name_any();
        self.tenant.siblings.seen(&object);
        if object.spec.scope != self.tenant.assignment.scope {
            return;
        }
        let object = Arc::new(object);
        let known = self.newest.get(&name).and_then(|sender| {
            let known = sender.borrow();
            known.as_ref().and_then(|known| known.uid())
        });
        if known.is_some() && known != object.uid() {
            // Deleted and made anew while nobody watched: nothing of the old one is the new one's.
            self.deleted(&name);
            self.tenant.siblings.seen(&object);
        }
        if let Some(sender) = self.newest.get(&name)
            && sender.send(Some(Arc::clone(&object))).is_ok()
        {
            return;
        }
        let (sender, receiver) = watch::channel(Some(Arc::clone(&object)));
        self.newest.insert(name, sender);
        self.tasks.spawn(follow::follow(
            Arc::clone(&self.tenant),
            object,
            receiver,
            self.cancel.clone(),
        ));
    }

    fn deleted(&mut self, name: &str) {
        self.tenant.siblings.gone(name);
        if let Some(sender) = self.newest.remove(name) {
            // It may have ended already.
            let _ = sender.send(None);
        }
    }
}

/// An error with its sources, for a log.
pub(crate) struct Chain<'a>(pub(crate) &'a (dyn std::error::Error + 'static));

impl std::fmt::Display for Chain<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}", self.0)?;
        let mut source = self.0.source();
        while let Some(error) = source {
            write!(f, ": {error}")?;
            source = error.source();
        }
        Ok(())
    }
}
