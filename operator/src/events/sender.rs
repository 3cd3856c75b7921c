//! Writes events, one at a time and beside everything else: what is told late, or not at all, is in
//! the status all the same.

use gitmoor_crds::SourceControlConfiguration;
use k8s_openapi::{
    api::{core::v1::ObjectReference, events::v1},
    apimachinery::pkg::apis::meta::v1::MicroTime,
    jiff::Timestamp,
};
use kube::{
    Api, Client, Resource as _, ResourceExt as _,
    api::{ObjectMeta, Patch, PatchParams, PostParams},
};
use rand::Rng as _;
use serde_json::json;
use tokio::{
    sync::mpsc,
    time::{Duration, Instant},
};
use tokio_util::sync::CancellationToken;

use super::{About, Entry, Event, Ledger};
use crate::{fingerprint::write_uid, kinds::api_version};

/// How many events may wait to be written.
const WAITING: usize = 32;

/// How long nothing is written after the API server has said that we may not.
const FORBIDDEN: Duration = Duration::from_mins(10);

/// Who reports, in each event.
const CONTROLLER: &str = "gitmoor.io/operator";

/// The way to those who read events. Cheap to clone.
#[derive(Clone)]
pub(crate) struct Events(mpsc::Sender<(Event, Timestamp)>);

impl Events {
    /// Events of a configuration, written with the rights of `client` until all of these are
    /// dropped, or it is cancelled.
    pub(crate) fn new(
        client: Client,
        object: &SourceControlConfiguration,
        instance: &str,
        cancel: CancellationToken,
    ) -> Self {
        let (sender, mut events) = mpsc::channel(WAITING);
        let mut writer = Writer {
            client,
            configuration: object.object_ref(&()),
            name: object.name_any(),
            instance: instance.to_owned(),
            ledger: Ledger::new(Instant::now()),
            not_before: Instant::now(),
        };
        tokio::spawn(cancel.run_until_cancelled_owned(async move {
            while let Some((event, when)) = events.recv().await {
                writer.tell(&event, when).await;
            }
        }));
        Self(sender)
    }

    /// Tells something, unless too much waits to be told already.
    pub(crate) fn tell(&self, event: Event) {
        if self.0.try_send((event, Timestamp::now())).is_err() {
            tracing::debug!("an event was left out");
        }
    }
}

struct Writer {
    client: Client,
    configuration: ObjectReference,
    name: String,
    instance: String,
    ledger: Ledger,
    not_before: Instant,
}

impl Writer {
    async fn tell(&mut self, event: &Event, when: Timestamp) {
        let (now, number) = (Instant::now(), rand::rng().random());
        if now < self.not_before {
            return;
        }
        let Some(entry) = self.ledger.enter(event, number, now) else {
            tracing::debug!(reason = event.reason, "an event was left out");
            return;
        };
        let result = match entry {
            Entry::New(number) => self.create(event, number, when).await,
            Entry::Again(number, count) => match self.again(event, number, count, when).await {
                Err(kube::Error::Api(status)) if status.code == 404 => {
                    self.ledger.forgotten(event, number);
                    self.create(event, number, when).await
                }
                other => other,
            },
        };
        match result {
            Ok(()) => {}
            Err(kube::Error::Api(status)) if status.code == 403 => {
                tracing::warn!(message = status.message, "events may not be written");
                self.not_before = now + FORBIDDEN;
            }
            Err(error) => tracing::debug!(%error, "an event was not written"),
        }
    }

    async fn create(&self, event: &Event, number: u64, when: Timestamp) -> Result<(), kube::Error> {
        let about = event.about.as_ref().map(reference);
        let related = about.is_some().then(|| self.configuration.clone());
        let object = v1::Event {
            metadata: ObjectMeta {
                name: Some(self.event_name(number)),
                ..ObjectMeta::default()
            },
            type_: Some(event.sort.name().to_owned()),
            reason: Some(event.reason.clone()),
            action: Some(event.action.to_owned()),
            note: Some(event.note.clone()),
            event_time: Some(MicroTime(when)),
            regarding: Some(about.unwrap_or_else(|| self.configuration.clone())),
            related,
            reporting_controller: Some(CONTROLLER.to_owned()),
            reporting_instance: Some(self.instance.clone()),
            ..v1::Event::default()
        };
        let api = self.api(event);
        api.create(&PostParams::default(), &object).await.map(drop)
    }

    async fn again(
        &self,
        event: &Event,
        number: u64,
        count: u32,
        when: Timestamp,
    ) -> Result<(), kube::Error> {
        let patch = json!({"series": {"count": count, "lastObservedTime": MicroTime(when)}});
        let name = self.event_name(number);
        let (parameters, patch) = (PatchParams::default(), Patch::Merge(&patch));
        let api = self.api(event);
        api.patch(&name, &parameters, &patch).await.map(drop)
    }

    /// The events of an object are in its namespace, those of one that has none in `default`.
    fn api(&self, event: &Event) -> Api<v1::Event> {
        let namespace = match &event.about {
            None => self.configuration.namespace.as_deref(),
            Some(about) => about.key.namespace.as_deref(),
        };
        Api::namespaced(self.client.clone(), namespace.unwrap_or("default"))
    }

    /// Objects may have names that events cannot.
    fn event_name(&self, number: u64) -> String {
        format!("{}.{number:016x}", self.name)
    }
}

fn reference(about: &About) -> ObjectReference {
    let key = &about.key;
    ObjectReference {
        api_version: Some(api_version(&key.group, &about.version)),
        kind: Some(key.kind.to_string()),
        namespace: key.namespace.as_deref().map(str::to_owned),
        name: Some(key.name.to_string()),
        uid: Some(write_uid(about.uid)),
        ..ObjectReference::default()
    }
}
