//! The first loop: from ARM to configurations of the cluster, and back with what became of them.
//!
//! What is deleted here is deleted by the users of ARM: a configuration goes when a complete and
//! successful list no longer has it, and only if this loop made it. An empty list is believed when
//! it comes twice in a row, because that is also what a server looks like that has lost its data
//! for a moment.

mod compliance;
mod desired;
mod facts;
mod report;
mod settle;

use std::{
    collections::{HashMap, HashSet},
    sync::Arc,
    time::Duration,
};

use gitmoor_arm::{Client, ClusterId, ConfigurationId, SourceControlConfiguration, Version};
use tokio::{
    sync::watch,
    time::{Instant, sleep},
};
use tokio_util::sync::CancellationToken;

use crate::{
    admission::Admission,
    backoff::Backoff,
    configurations::{Configurations, Key},
    origin::arm_id,
    settings::Settings,
};
use desired::Desired;
use report::Known;
use settle::{Obstacle, Settler};

/// After failures, ARM is asked this often at least: an agent that was cut off sees what is new
/// soon after it is back.
const LONGEST_WAIT: Duration = Duration::from_mins(2);

/// How long a portal is asked to wait for news. An idle agent costs it a request in that time.
const NEWS: Duration = Duration::from_secs(55);

/// How much time lies at least between two requests of a portal that waits.
const SPACING: Duration = Duration::from_millis(500);

/// How many empty lists in a row are believed.
const EMPTY_LISTS: usize = 2;

/// Follows ARM until it is cancelled.
pub(crate) async fn follow(
    arm: &Client,
    poll_interval: Duration,
    settings: &Settings,
    kubernetes: kube::Client,
    admission: &Admission,
    configurations: &Arc<Configurations>,
    cancel: &CancellationToken,
) {
    let known = watch::Sender::new(Arc::<Vec<Known>>::default());
    let mut follower = Follower {
        settler: Settler {
            client: kubernetes.clone(),
            cluster: arm.cluster_id().clone(),
            has_secrets: arm.takes_status(),
            own_namespace: settings.namespace.clone(),
            admission: admission.clone(),
            configurations: Arc::clone(configurations),
            settled: HashMap::new(),
        },
        empty_lists: 0,
    };
    let poll = async {
        let mut changes = configurations.changes();
        // What is there must be known before it is compared.
        if changes.wait_for(|count| *count > 0).await.is_err() {
            return;
        }
        let mut backoff = Backoff::new(poll_interval, LONGEST_WAIT.max(poll_interval));
        let mut list = Vec::new();
        let mut version: Option<Version> = None;
        let mut patience = NEWS;
        loop {
            let asked = Instant::now();
            let answer = arm.list_since(version.as_ref(), patience).await;
            let wait = match answer {
                Ok(answer) => {
                    backoff.reset();
                    list = answer.configurations.unwrap_or(list);
                    let now = follower.take(&list).await;
                    let is_settled = now.iter().all(|one| one.obstacles.is_empty());
                    log(&known.borrow(), &now);
                    known.send_replace(Arc::new(now));
                    // An empty list is to be seen twice before it is believed.
                    let is_believed = follower.empty_lists == 0;
                    let was_asked_for_news = version.is_some();
                    version = answer.version.filter(|_| is_believed);
                    patience = if is_settled {
                        NEWS
                    } else {
                        NEWS.min(poll_interval)
                    };
                    if version.is_some() && (answer.waited || !was_asked_for_news) {
                        SPACING.saturating_sub(asked.elapsed())
                    } else {
                        gitmoor_arm::jittered(poll_interval)
                    }
                }
                Err(error) => {
                    tracing::warn!(
                        reason = error.reason(),
                        error = &error as &dyn std::error::Error,
                        "list the configurations in ARM; what is there stays as it is"
                    );
                    backoff.wait().max(error.retry_after().unwrap_or_default())
                }
            };
            sleep(wait).await;
        }
    };
    let report = async {
        if arm.takes_status() {
            report::report(arm, configurations, known.subscribe()).await;
        } else {
            std::future::pending().await
        }
    };
    tokio::select! {
        () = poll => {}
        () = report => {}
        () = facts::tell(arm, &kubernetes) => {}
        () = cancel.cancelled() => {}
    }
}

/// Logs what is in the way, once and not at every poll.
fn log(before: &[Known], now: &[Known]) {
    let before: HashMap<&str, &[Obstacle]> = before
        .iter()
        .map(|one| (one.name.as_str(), one.obstacles.as_slice()))
        .collect();
    for one in now {
        let known = before.get(one.name.as_str()).copied().unwrap_or_default();
        for obstacle in one
            .obstacles
            .iter()
            .filter(|obstacle| !known.contains(obstacle))
        {
            tracing::warn!(configuration = one.name, %obstacle, "not in the cluster as in ARM");
        }
    }
}

/// Takes over one list after the other.
struct Follower {
    settler: Settler,
    empty_lists: usize,
}

impl Follower {
    /// Brings the cluster to what a complete list says.
    async fn take(&mut self, list: &[SourceControlConfiguration]) -> Vec<Known> {
        let (desired, faulty) = read(list, &self.settler.cluster);
        let listed: Vec<(ConfigurationId, Key)> = desired
            .iter()
            .map(|(one, _)| (one.id.clone(), one.key.clone()))
            .collect();
        let etags: Vec<(Key, String)> = desired
            .iter()
            .map(|(one, etag)| (one.key.clone(), etag.clone()))
            .collect();
        self.settler
            .settle(desired.into_iter().map(|(one, _)| one).collect())
            .await;
        self.delete(list, &listed).await;
        let settled = etags.into_iter().map(|(key, etag)| {
            let settled = self.settler.settled.get(&key);
            Known {
                name: key.name.clone(),
                etag,
                generation: settled.and_then(|settled| settled.generation),
                obstacles: settled
                    .and_then(|settled| settled.obstacle.clone())
                    .into_iter()
                    .collect(),
                key: Some(key),
            }
        });
        settled.chain(faulty).collect()
    }

    async fn delete(
        &mut self,
        list: &[SourceControlConfiguration],
        settled: &[(ConfigurationId, Key)],
    ) {
        let ours: Vec<_> = self
            .settler
            .configurations
            .all()
            .into_iter()
            .filter(|(_, live)| live.metadata.deletion_timestamp.is_none())
            .filter_map(|(key, live)| Some((arm_id(&live, &self.settler.cluster)?, key, live)))
            .collect();
        if list.is_empty() && !ours.is_empty() {
            self.empty_lists += 1;
            if self.empty_lists < EMPTY_LISTS {
                tracing::warn!("ARM's list is empty: asking once more before anything is deleted");
                return;
            }
        } else {
            self.empty_lists = 0;
        }
        // Also those that are wrong: what was right of them before stays.
        let listed: HashSet<ConfigurationId> = list.iter().filter_map(id).collect();
        let moved: HashMap<&ConfigurationId, &Key> = settled
            .iter()
            .filter(|(_, key)| {
                self.settler
                    .settled
                    .get(key)
                    .is_some_and(|one| one.obstacle.is_none())
            })
            .map(|(id, key)| (id, key))
            .collect();
        for (id, key, live) in ours {
            let has_moved = moved.get(&id).is_some_and(|now| **now != key);
            if has_moved || !listed.contains(&id) {
                self.settler.delete(&live).await;
            }
        }
    }
}

fn id(listed: &SourceControlConfiguration) -> Option<ConfigurationId> {
    listed.id.as_deref()?.parse().ok()
}

/// Each with its etag; and those that are wrong.
fn read(
    list: &[SourceControlConfiguration],
    cluster: &ClusterId,
) -> (Vec<(Desired, String)>, Vec<Known>) {
    let mut keys = HashSet::new();
    let mut desired = Vec::new();
    let mut faulty = Vec::new();
    for listed in list {
        // The client gives only those with an id of this cluster.
        let Some(id) = id(listed) else { continue };
        let name = id.name();
        let etag = listed.etag.clone().unwrap_or_default();
        let one = Desired::read(listed, name, cluster).and_then(|one| {
            if keys.insert(one.key.clone()) {
                Ok(one)
            } else {
                Err(vec![format!(
                    "ARM's list has another configuration {}",
                    one.key
                )])
            }
        });
        match one {
            Ok(one) => desired.push((one, etag)),
            Err(faults) => {
                tracing::warn!(
                    configuration = name,
                    ?faults,
                    "ARM's configuration is wrong"
                );
                faulty.push(Known {
                    name: name.to_owned(),
                    etag,
                    key: None,
                    generation: None,
                    obstacles: faults.into_iter().map(Obstacle::Fault).collect(),
                });
            }
        }
    }
    (desired, faulty)
}
