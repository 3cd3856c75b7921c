//! What the operators of a process count, for Prometheus. Labels are bounded: the configurations
//! that are served, whose series go with them, fixed words, and the status codes of HTTP.

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
    time::Duration,
};

use http::{Method, StatusCode};
use k8s_openapi::jiff::Timestamp;
use prometheus_client::{
    encoding::EncodeLabelSet,
    metrics::{
        counter::Counter,
        family::Family,
        gauge::Gauge,
        histogram::{Histogram, exponential_buckets},
    },
    registry::{Registry, Unit},
};

/// What is counted. Cheap when nobody reads it.
#[derive(Debug)]
pub struct Metrics {
    /// How many bytes Git servers have sent.
    pub(crate) git_received: Counter,
    syncs: Family<Sync, Counter>,
    steps: Family<Step, Histogram>,
    objects: Family<Objects, Gauge>,
    drift_found: Family<Configuration, Counter>,
    drift_healed: Family<Configuration, Counter>,
    last_success: Family<Configuration, Gauge<f64, AtomicU64>>,
    requests: Family<Call, Counter>,
    ready: AtomicBool,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Configuration {
    namespace: Arc<str>,
    name: Arc<str>,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Sync {
    #[prometheus(flatten)]
    configuration: Configuration,
    result: &'static str,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Objects {
    #[prometheus(flatten)]
    configuration: Configuration,
    state: &'static str,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Step {
    step: &'static str,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Call {
    verb: &'static str,
    /// Empty when there was no answer.
    code: Option<u32>,
}

/// How a sync ended.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Ended {
    /// Everything is as declared.
    Well,
    /// Something could not be read, applied or pruned.
    Problems,
    /// Something newer made it end.
    Early,
}

const ENDS: [&str; 3] = ["success", "problems", "superseded"];

/// What takes time in a sync.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Part {
    /// The Git server is asked, and what is new is fetched.
    Fetch,
    /// Files become objects.
    Read,
    /// Objects are applied.
    Apply,
    /// Objects are deleted.
    Prune,
}

/// In which state objects are.
#[derive(Clone, Copy, Debug)]
pub(crate) enum State {
    /// Applied and not pruned, whatever else is the matter with them.
    Managed,
    /// They could not be applied or deleted.
    Failed,
    /// They are not healthy, or not yet.
    Unhealthy,
}

const STATES: [&str; 3] = ["managed", "failed", "unhealthy"];

impl Metrics {
    /// Counts from zero, and shows it in a registry.
    pub fn new(registry: &mut Registry) -> Arc<Self> {
        let buckets = || Histogram::new(exponential_buckets(0.001, 4.0, 10));
        let metrics = Self {
            git_received: Counter::default(),
            syncs: Family::default(),
            steps: Family::new_with_constructor(buckets),
            objects: Family::default(),
            drift_found: Family::default(),
            drift_healed: Family::default(),
            last_success: Family::default(),
            requests: Family::default(),
            ready: AtomicBool::new(false),
        };
        let registry = registry.sub_registry_with_prefix("gitmoor");
        registry.register(
            "syncs",
            "Syncs of a configuration that ended, by result: success, problems, superseded",
            metrics.syncs.clone(),
        );
        registry.register_with_unit(
            "sync_duration",
            "How long the steps of syncs took: fetch, read, apply, prune",
            Unit::Seconds,
            metrics.steps.clone(),
        );
        registry.register(
            "objects",
            "Objects of a configuration: managed, and those of them that failed or are unhealthy",
            metrics.objects.clone(),
        );
        registry.register(
            "drift_found",
            "Objects that somebody had changed or deleted",
            metrics.drift_found.clone(),
        );
        registry.register(
            "drift_healed",
            "Objects that were put right after that",
            metrics.drift_healed.clone(),
        );
        registry.register_with_unit(
            "last_success_timestamp",
            "When a sync last left a configuration without a problem, in Unix time",
            Unit::Seconds,
            metrics.last_success.clone(),
        );
        registry.register(
            "api_requests",
            "Requests to the API server, by verb and status code; no code without an answer",
            metrics.requests.clone(),
        );
        registry.register_with_unit(
            "git_received",
            "What Git servers have sent",
            Unit::Bytes,
            metrics.git_received.clone(),
        );
        Arc::new(metrics)
    }

    /// Counts without showing it to anyone.
    pub fn unseen() -> Arc<Self> {
        Self::new(&mut Registry::default())
    }

    /// Takes note that it is known which configurations there are.
    pub fn listed(&self) {
        self.ready.store(true, Ordering::Relaxed);
    }

    /// Whether it is known which configurations there are: what `/readyz` says.
    pub fn is_ready(&self) -> bool {
        self.ready.load(Ordering::Relaxed)
    }

    pub(crate) fn requested(&self, verb: &'static str, answer: Option<StatusCode>) {
        let code = answer.map(|status| status.as_u16().into());
        self.requests.get_or_create(&Call { verb, code }).inc();
    }

    pub(crate) fn took(&self, part: Part, time: Duration) {
        let step = match part {
            Part::Fetch => "fetch",
            Part::Read => "read",
            Part::Apply => "apply",
            Part::Prune => "prune",
        };
        self.steps
            .get_or_create(&Step { step })
            .observe(time.as_secs_f64());
    }
}

/// The word for what a request does.
pub(crate) fn verb(method: &Method, is_watch: bool) -> &'static str {
    match *method {
        Method::GET if is_watch => "watch",
        Method::GET => "get",
        Method::POST => "create",
        Method::PUT => "update",
        Method::PATCH => "patch",
        Method::DELETE => "delete",
        _ => "other",
    }
}

/// What is counted of one configuration; its series end with this.
pub(crate) struct Meter {
    metrics: Arc<Metrics>,
    configuration: Configuration,
}

impl Meter {
    pub(crate) fn new(metrics: Arc<Metrics>, namespace: &str, name: &str) -> Self {
        Self {
            metrics,
            configuration: Configuration {
                namespace: namespace.into(),
                name: name.into(),
            },
        }
    }

    pub(crate) fn took(&self, part: Part, time: Duration) {
        self.metrics.took(part, time);
    }

    pub(crate) fn ended(&self, how: Ended) {
        let sync = Sync {
            configuration: self.configuration.clone(),
            result: ENDS[how as usize],
        };
        self.metrics.syncs.get_or_create(&sync).inc();
        if matches!(how, Ended::Well) {
            let now = Timestamp::now().as_duration().as_secs_f64();
            let last = &self.metrics.last_success;
            last.get_or_create(&self.configuration).set(now);
        }
    }

    pub(crate) fn objects(&self, state: State, count: usize) {
        let objects = Objects {
            configuration: self.configuration.clone(),
            state: STATES[state as usize],
        };
        let count = i64::try_from(count).unwrap_or(i64::MAX);
        self.metrics.objects.get_or_create(&objects).set(count);
    }

    pub(crate) fn drift(&self, found: u64, healed: u64) {
        let metrics = &self.metrics;
        let found_so_far = metrics.drift_found.get_or_create(&self.configuration);
        found_so_far.inc_by(found);
        let healed_so_far = metrics.drift_healed.get_or_create(&self.configuration);
        healed_so_far.inc_by(healed);
    }
}

impl Drop for Meter {
    fn drop(&mut self) {
        let (metrics, configuration) = (&self.metrics, &self.configuration);
        for result in ENDS {
            let configuration = configuration.clone();
            metrics.syncs.remove(&Sync {
                configuration,
                result,
            });
        }
        for state in STATES {
            let configuration = configuration.clone();
            metrics.objects.remove(&Objects {
                configuration,
                state,
            });
        }
        metrics.drift_found.remove(configuration);
        metrics.drift_healed.remove(configuration);
        metrics.last_success.remove(configuration);
    }
}
