use std::{
    future::poll_fn,
    pin::pin,
    sync::atomic::{AtomicBool, Ordering},
    task::Poll,
};

use tokio::{
    io::copy,
    net::{TcpListener, TcpStream},
};

use super::*;
use crate::store::{
    Location,
    audit::By,
    configurations::Condition,
    presence::Said,
    tests::{CLUSTER, each_engine, open},
};

/// How long anything may take.
const LIMIT: Duration = Duration::from_secs(30);

async fn within<T>(future: impl Future<Output = T>) -> T {
    timeout(LIMIT, future).await.expect("it takes too long")
}

/// A way to a server whose connections can all fall silent without an end, as behind a router that
/// forgot them. Those that are opened later are well.
struct Way {
    port: u16,
    silent: Arc<AtomicBool>,
}

impl Way {
    async fn to(server: u16) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let port = listener.local_addr().unwrap().port();
        let silent = Arc::new(AtomicBool::new(false));
        let is_silent = Arc::clone(&silent);
        tokio::spawn(async move {
            while let Ok((from, _)) = listener.accept().await {
                let was_well = !is_silent.load(Ordering::Relaxed);
                let is_silent = Arc::clone(&is_silent);
                tokio::spawn(async move {
                    let to = TcpStream::connect(("127.0.0.1", server)).await.unwrap();
                    let (mut from, mut to) = (from.into_split(), to.into_split());
                    let falls_silent = async {
                        while !was_well || !is_silent.load(Ordering::Relaxed) {
                            sleep(Duration::from_millis(10)).await;
                        }
                    };
                    tokio::select! {
                        _ = copy(&mut from.0, &mut to.1) => {}
                        _ = copy(&mut to.0, &mut from.1) => {}
                        // Both ends stay open.
                        () = falls_silent => std::future::pending().await,
                    }
                });
            }
        });
        Self { port, silent }
    }
}

#[tokio::test]
async fn a_portal_whose_connection_fell_silent_hears_again() {
    let [_, place] = each_engine();
    let writes = open(&place).await;
    let mut hears = open(&place).await;
    let Place::Postgres(mut url) = hears.location.0.clone() else {
        panic!("it is PostgreSQL");
    };
    let way = Way::to(url.port().unwrap()).await;
    url.set_port(Some(way.port)).unwrap();
    // What it asks goes the straight way, what it hears the other.
    hears.location = Location(Place::Postgres(url));
    let mut news = hears.news();
    let following = hears.clone();
    let follows = tokio::spawn(async move {
        following
            .follow_changes_every(Duration::from_millis(100))
            .await;
    });
    for _ in 0..2 {
        // Everything may have changed while it did not listen.
        let first = within(news.recv()).await.unwrap();
        assert_eq!(first, News::Cluster(String::new()));
        let cluster = CLUSTER.to_ascii_lowercase();
        let transaction = writes.database.begin(&cluster).await.unwrap();
        let told = Told::Desired(cluster.clone());
        writes.commit(transaction, told).await.unwrap();
        let heard = async { while news.recv().await.unwrap() != News::Cluster(cluster.clone()) {} };
        within(heard).await;
        way.silent.store(true, Ordering::Relaxed);
    }
    follows.abort();
}

#[tokio::test]
async fn whoever_waits_is_told_although_the_one_who_wrote_is_gone() {
    let [place, _] = each_engine();
    let store = open(&place).await;
    let mut news = store.news();
    let transaction = store.database.begin(CLUSTER).await.unwrap();
    let told = Told::Desired(CLUSTER.to_ascii_lowercase());
    {
        let mut commit = pin!(store.commit(transaction, told));
        let once = poll_fn(|context| Poll::Ready(commit.as_mut().poll(context).is_pending()));
        assert!(once.await);
    }
    assert!(within(news.recv()).await.is_ok());
}

#[tokio::test]
async fn nobody_who_waits_leaves_anything_behind() {
    let [place, _] = each_engine();
    let store = open(&place).await;
    let cluster: ClusterId = CLUSTER.parse().unwrap();
    let known = [store.list_etag(&cluster).await.unwrap()];
    let wait = |time| store.changed(&cluster, &known, Instant::now() + time);
    {
        // Two who are cut off, one of them before the other.
        let (mut one, mut other) = (Box::pin(wait(LIMIT)), Box::pin(wait(LIMIT)));
        let long = Duration::from_millis(50);
        assert!(timeout(long, &mut one).await.is_err());
        assert!(timeout(long, &mut other).await.is_err());
        drop(one);
        assert_eq!(store.changes.waiting().len(), 1);
    }
    assert!(store.changes.waiting().is_empty());
    wait(Duration::from_millis(10)).await.unwrap();
    assert!(store.changes.waiting().is_empty());
}

/// Listens to the other portals, from now on.
async fn follow(store: &Store) -> tokio::task::JoinHandle<()> {
    let mut news = store.news();
    let following = store.clone();
    let follows = tokio::spawn(async move { following.follow_changes().await });
    if store.database.engine == Engine::Postgres {
        // So it says when it hears.
        assert_eq!(
            within(news.recv()).await.unwrap(),
            News::Cluster(String::new())
        );
    }
    follows
}

async fn seen(store: &Store) -> Vec<String> {
    let summaries = store.summaries().await.unwrap();
    summaries.values().map(|one| one.id.to_string()).collect()
}

#[tokio::test]
async fn a_change_of_what_is_desired_loses_no_call_of_an_agent() {
    for place in each_engine() {
        let store = open(&place).await;
        store.saw(&CLUSTER.parse().unwrap(), Said::default());
        let follows = follow(&store).await;
        let mut news = store.news();
        let cluster = CLUSTER.to_ascii_lowercase();
        let transaction = store.database.begin(&cluster).await.unwrap();
        let told = Told::Desired(cluster.clone());
        store.commit(transaction, told).await.unwrap();
        // PostgreSQL tells also the one who wrote.
        let times = match store.database.engine {
            Engine::Sqlite => 1,
            Engine::Postgres => 2,
        };
        for _ in 0..times {
            let heard = within(news.recv()).await.unwrap();
            assert_eq!(heard, News::Cluster(cluster.clone()));
        }
        assert_eq!(seen(&store).await, [CLUSTER]);
        follows.abort();
    }
}

#[tokio::test]
async fn a_deleted_cluster_that_was_only_seen_stays_away_at_every_portal() {
    let [sqlite, postgres] = each_engine();
    let by = By::named("test");
    let other = CLUSTER.replace("/edge/", "/edge-2/");
    for (place, of_group) in [
        (&sqlite, false),
        (&sqlite, true),
        (&postgres, false),
        (&postgres, true),
    ] {
        let deletes = open(place).await;
        // Of an SQLite file there is one portal.
        let hears = match deletes.database.engine {
            Engine::Sqlite => deletes.clone(),
            Engine::Postgres => open(place).await,
        };
        for store in [&deletes, &hears] {
            store.saw(&CLUSTER.parse().unwrap(), Said::default());
            store.saw(&other.parse().unwrap(), Said::default());
        }
        let follows = follow(&hears).await;
        let mut news = hears.news();
        let all = Condition::default();
        let told = if of_group {
            let group = "/subscriptions/3f1c/resourceGroups/edge".parse().unwrap();
            let deleted = deletes.delete_group(&group, &by, &all).await.unwrap();
            assert_eq!(deleted, Some(false));
            String::new()
        } else {
            let id = CLUSTER.parse().unwrap();
            let deleted = deletes.delete_cluster(&id, &by, &all).await.unwrap();
            assert_eq!(deleted, Some(false));
            CLUSTER.to_ascii_lowercase()
        };
        assert_eq!(within(news.recv()).await.unwrap(), News::Cluster(told));
        for store in [&deletes, &hears] {
            assert_eq!(seen(store).await, [other.as_str()]);
            store.write_presence().await;
            assert_eq!(seen(store).await, [other.as_str()]);
        }
        follows.abort();
    }
}
