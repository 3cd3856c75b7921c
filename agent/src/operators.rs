//! The second loop: from configurations to operators. Each pair of namespace and scope that has a
//! configuration has a *keeper*, which gives it its rights and keeps its operator running.

mod apply;
mod hosted;
mod keeper;
mod refusals;
mod release;
mod tokens;

use std::{
    collections::{BTreeMap, BTreeSet, HashMap},
    sync::Arc,
};

use gitmoor_operator::{Engine, connections::Connections};
use kube::Client;
use tokio::{
    sync::{Semaphore, mpsc, watch},
    task::{Id, JoinError, JoinSet},
};
use tokio_util::sync::CancellationToken;

use crate::{
    admission::Admission, configurations::Configurations, made::Made, pair::Pair,
    settings::Settings,
};
use keeper::Wanted;
pub(crate) use refusals::write_refusals;

/// How many keepers write at once: enough to use the connection, few enough to leave room for
/// others' requests when a thousand tenants start together.
const WRITERS: usize = 16;

/// What every keeper needs.
pub(crate) struct Context {
    pub(crate) settings: Arc<Settings>,
    pub(crate) client: Client,
    pub(crate) engine: Arc<Engine>,
    pub(crate) made: Arc<Made>,
    pub(crate) writers: Semaphore,
    pub(crate) cancel: CancellationToken,
}

impl Context {
    pub(crate) fn new(
        settings: Arc<Settings>,
        client: Client,
        connections: Connections,
        made: Arc<Made>,
        cancel: CancellationToken,
    ) -> Arc<Self> {
        Arc::new(Self {
            engine: Engine::new(settings.operator.clone(), connections),
            settings,
            client,
            made,
            writers: Semaphore::new(WRITERS),
            cancel,
        })
    }
}

/// Serves until it is cancelled, and then until every operator has ended.
pub(crate) async fn serve(
    context: Arc<Context>,
    admission: &Admission,
    configurations: &Configurations,
    mut made: mpsc::UnboundedReceiver<Pair>,
) {
    let cancel = context.cancel.clone();
    let mut changes = configurations.changes();
    tokio::select! {
        // Before the first list is complete, an operator without configurations is no orphan.
        _ = changes.wait_for(|count| *count > 0) => {}
        () = cancel.cancelled() => return,
    }
    changes.mark_changed();
    let mut keepers = Keepers {
        context,
        wanted: HashMap::new(),
        tasks: JoinSet::new(),
        pairs: HashMap::new(),
    };
    loop {
        tokio::select! {
            () = cancel.cancelled() => break,
            Ok(()) = changes.changed() => keepers.want(admission, configurations),
            Some(pair) = made.recv() => keepers.look(&pair),
            Some(ended) = keepers.tasks.join_next_with_id() => keepers.ended(ended),
        }
    }
    while keepers.tasks.join_next().await.is_some() {}
}

/// The keepers, and what each is told.
struct Keepers {
    context: Arc<Context>,
    wanted: HashMap<Pair, watch::Sender<Wanted>>,
    tasks: JoinSet<()>,
    pairs: HashMap<Id, Pair>,
}

impl Keepers {
    /// Compares with the configurations, and tells those keepers for whom something is new.
    fn want(&mut self, admission: &Admission, configurations: &Configurations) {
        let mut wanted: BTreeMap<Pair, BTreeSet<String>> = BTreeMap::new();
        for (key, configuration) in configurations.all() {
            // Also while it is being deleted: its operator may have to prune.
            if let Ok(pair) = admission.admit(&configuration) {
                wanted.entry(pair).or_default().insert(key.name);
            }
        }
        for (pair, sender) in &self.wanted {
            if !wanted.contains_key(pair) {
                sender.send_if_modified(|now| now.replace(BTreeSet::new()));
            }
        }
        for (pair, names) in wanted {
            match self.wanted.get(&pair) {
                Some(sender) => {
                    sender.send_if_modified(|now| now.replace(names));
                }
                None => self.start(pair, names),
            }
        }
    }

    /// Something happened to what was made for a pair.
    fn look(&mut self, pair: &Pair) {
        match self.wanted.get(pair) {
            Some(sender) => sender.send_modify(Wanted::look),
            None if self.context.made.live(pair).is_empty() => self.context.made.forget_gone(pair),
            // Left over from before the agent was started.
            None => self.start(pair.clone(), BTreeSet::new()),
        }
    }

    fn start(&mut self, pair: Pair, names: BTreeSet<String>) {
        let (sender, receiver) = watch::channel(Wanted::new(names));
        let keeper = keeper::keep(Arc::clone(&self.context), pair.clone(), receiver);
        let task = self.tasks.spawn(keeper);
        self.pairs.insert(task.id(), pair.clone());
        self.wanted.insert(pair, sender);
    }

    /// A keeper ends when nothing is wanted any more, and all is removed.
    fn ended(&mut self, ended: Result<(Id, ()), JoinError>) {
        let id = match &ended {
            Ok((id, ())) => *id,
            Err(error) => error.id(),
        };
        let Some(pair) = self.pairs.remove(&id) else {
            return;
        };
        let Some(sender) = self.wanted.remove(&pair) else {
            return;
        };
        if let Err(error) = ended {
            tracing::error!(operator = %pair, %error, "the keeper of an operator broke");
        }
        // It may have become wanted again in the meantime, or its objects have come back.
        let names = sender.borrow().names();
        if names.is_empty() {
            self.look(&pair);
        } else {
            self.start(pair, names);
        }
    }
}
