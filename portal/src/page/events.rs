//! News for a page that is open, by server-sent events: that something changed, and never what; the
//! page is then asked for again. Nobody learns of what they may not see, nor after they are signed out.

use std::{
    collections::HashMap,
    convert::Infallible,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use axum::response::{
    IntoResponse as _, Response,
    sse::{Event, KeepAlive, Sse},
};
use futures::stream;
use gitmoor_arm::{ClusterId, Secret};
use http::{HeaderName, Method};
use tokio::{
    sync::broadcast::{Receiver, error::RecvError},
    time::{Instant, sleep_until},
};
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

use super::{Call, Pages, session::Visitor};
use crate::{
    Store, StoreError,
    api::{refusal::Refusal, route::Route as ApiRoute},
    store::News,
};

/// How long one goes on; the browser then asks for another, and is looked at anew.
const LIFETIME: Duration = Duration::from_secs(10 * 60);

/// How soon one event follows another.
const PAUSE: Duration = Duration::from_secs(1);

/// How often a proxy sees a sign of life.
const KEEP_ALIVE: Duration = Duration::from_secs(20);

/// How many pages one person may have open that are live.
const EACH: u32 = 16;

/// Who has pages open that are live.
#[derive(Default)]
pub(super) struct Viewers(Mutex<HashMap<Uuid, u32>>);

impl Viewers {
    fn enter(self: &Arc<Self>, principal: Uuid, all: u32) -> Option<Place> {
        let mut open = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if open.values().sum::<u32>() >= all {
            return None;
        }
        let own = open.entry(principal).or_default();
        if *own >= EACH {
            return None;
        }
        *own += 1;
        Some(Place {
            viewers: Arc::clone(self),
            principal,
        })
    }
}

/// One page that is open, until it is dropped.
struct Place {
    viewers: Arc<Viewers>,
    principal: Uuid,
}

impl Drop for Place {
    fn drop(&mut self) {
        let open = &self.viewers.0;
        let mut open = open.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(own) = open.get_mut(&self.principal) {
            *own -= 1;
            if *own == 0 {
                open.remove(&self.principal);
            }
        }
    }
}

/// Answers with what is new of a cluster, or of all that the visitor sees.
pub(super) fn show(pages: &Pages, visitor: &Visitor, call: &Call) -> Result<Response, Refusal> {
    let cluster = call.parameter("cluster");
    let cluster: Option<ClusterId> = cluster
        .map(|id| id.parse())
        .transpose()
        .map_err(|error| Refusal::no_route(&error))?;
    if let Some(cluster) = &cluster {
        visitor.may(&ApiRoute::Configurations(cluster.clone()), &Method::GET)?;
    }
    let place = pages
        .viewers
        .enter(visitor.principal.id, pages.limits.viewers.get())
        .ok_or_else(|| Refusal::throttled(PAUSE * 30))?;
    let watch = Watch {
        store: pages.store.clone(),
        news: pages.store.news(),
        cancel: pages.site.cancel.clone(),
        end: Instant::now() + LIFETIME,
        next: Instant::now(),
        secret: visitor.secret(),
        cluster,
        _place: place,
    };
    let events = stream::unfold(watch, |mut watch| async {
        watch.next().await?;
        Some((Ok::<_, Infallible>(Event::default().data("changed")), watch))
    });
    let events = Sse::new(events).keep_alive(KeepAlive::new().interval(KEEP_ALIVE));
    // A proxy that collects what it passes on would hold the news back.
    let unbuffered = [(HeaderName::from_static("x-accel-buffering"), "no")];
    Ok((unbuffered, events).into_response())
}

/// What one page waits for.
struct Watch {
    store: Store,
    news: Receiver<News>,
    cancel: CancellationToken,
    end: Instant,
    next: Instant,
    secret: Secret,
    cluster: Option<ClusterId>,
    _place: Place,
}

impl Watch {
    /// Waits for a change that its visitor may see; nothing when there is no more to come.
    async fn next(&mut self) -> Option<()> {
        loop {
            let told = tokio::select! {
                told = self.news.recv() => told,
                () = self.cancel.cancelled() => return None,
                () = sleep_until(self.end) => return None,
            };
            let news = match told {
                Ok(news) => news,
                // More than it could take: everything may be new.
                Err(RecvError::Lagged(_)) => News::Cluster(String::new()),
                Err(RecvError::Closed) => return None,
            };
            if !self.is_about(&news) {
                continue;
            }
            match self.sees(&news).await {
                Ok(Some(true)) => {}
                Ok(Some(false)) => continue,
                Ok(None) => return None,
                Err(error) => {
                    let error = &error as &dyn std::error::Error;
                    tracing::warn!(error, "who looks at a page could not be read");
                    return None;
                }
            }
            tokio::select! {
                () = sleep_until(self.next) => {}
                () = self.cancel.cancelled() => return None,
            }
            self.next = Instant::now() + PAUSE;
            // What came meanwhile is seen with the rest; that someone signed out is not.
            self.news = self.news.resubscribe();
            if let Ok(Some(_)) = self.sees(&news).await {
                return Some(());
            }
            return None;
        }
    }

    fn is_about(&self, news: &News) -> bool {
        match (news, &self.cluster) {
            (News::Cluster(key), Some(cluster)) => {
                key.is_empty() || key.eq_ignore_ascii_case(cluster.as_str())
            }
            _ => true,
        }
    }

    /// Whether the visitor may see it; nothing when they are not signed in any more.
    async fn sees(&self, news: &News) -> Result<Option<bool>, StoreError> {
        let Some(principal) = self.store.session(self.secret.expose()).await? else {
            return Ok(None);
        };
        Ok(Some(match news {
            News::SignedOut => false,
            News::Cluster(key) => {
                let cluster = key.parse::<ClusterId>();
                cluster.is_ok_and(|cluster| principal.reads(&(&cluster).into())) || key.is_empty()
            }
        }))
    }
}
