//! Several portals in front of one PostgreSQL.

use std::{sync::Arc, thread, time::Duration};

use gitmoor_portal::{Location, identity::Role};
use gitmoor_postgres::{Options, Postgres};
use reqwest::{Method, StatusCode};
use serde_json::json;
use tempfile::TempDir;
use tokio::time::{sleep, timeout};

use super::{
    page::{
        browser::Browser,
        live::{open, told},
        reading::{report_of, reported},
    },
    server::{Body, CLUSTER, SUBSCRIPTION, Server, body, data_plane, settings, versioned, within},
};

/// Another portal of the same database.
async fn beside(first: &Server) -> Server {
    let shared = settings(first.directory());
    let key = format!(
        "file:{}",
        first.directory().join("encryption.key").display()
    );
    Server::start_in(TempDir::new().unwrap(), |settings| {
        settings.database = shared.database;
        settings.encryption.key = Some(key.parse().unwrap());
    })
    .await
}

#[tokio::test]
async fn a_page_of_one_portal_is_told_of_what_another_is_told() {
    let first = Server::start().await;
    let second = beside(&first).await;
    let browser = Browser::of(&second, "ann", SUBSCRIPTION, Role::Reader).await;
    let mut page = open(&browser, "").await;
    // The second may not listen yet.
    for number in 0.. {
        let report = json!({"complianceState": "Compliant", "message": number.to_string()});
        reported(&first, CLUSTER, "shop", report).await;
        if let Ok(told) = timeout(Duration::from_secs(2), told(&mut page)).await {
            assert!(told);
            break;
        }
        assert!(number < 20, "the page is not told");
    }
    while timeout(Duration::from_secs(2), told(&mut page))
        .await
        .is_ok()
    {}
    let failed = json!({"complianceState": "Failed", "messageLevel": "Error"});
    report_of(&first, CLUSTER, "shop", failed).await;
    assert!(told(&mut page).await);
}

#[tokio::test]
async fn what_one_portal_writes_another_tells_those_who_wait() {
    let first = Server::start().await;
    let second = beside(&first).await;
    let alice = first.contributor().await;
    let agent = second.agent(CLUSTER).await;
    for url in ["https://git.example.net/a", "https://git.example.net/b"] {
        let known = agent.get(&data_plane(CLUSTER)).await.headers["etag"].clone();
        let waiting = agent.clone();
        let mut waits = tokio::spawn(async move {
            let headers = [
                ("if-none-match", known.to_str().unwrap()),
                ("prefer", "wait=60"),
            ];
            let path = data_plane(CLUSTER);
            waiting
                .send_with(Method::GET, &path, Body::None, &headers)
                .await
        });
        let early = timeout(Duration::from_secs(1), &mut waits).await;
        assert!(early.is_err(), "{early:?}");
        alice.put(&versioned(CLUSTER, "blue"), body(url)).await;
        let answer = within(waits).await.unwrap();
        assert_eq!(answer.status, StatusCode::OK);
        assert!(answer.text.contains(url), "{}", answer.text);
    }
}

#[tokio::test]
async fn those_who_write_and_wait_for_each_other_keep_nobody_from_reading() {
    let postgres = Arc::new(Postgres::start(Options::default()).unwrap());
    let url = postgres.fresh().unwrap();
    let schema = url.rsplit('=').next().unwrap().to_owned();
    let database = Location::parse(&url).unwrap();
    let server = Server::start_with(|settings| settings.database = Some(database)).await;
    let alice = server.contributor().await;
    let path = versioned(CLUSTER, "blue");
    let url = "https://git.example.net/a";
    assert_eq!(
        alice.put(&path, body(url)).await.status,
        StatusCode::CREATED
    );
    // Someone else writes for so long that all others give up, and try again.
    let lock = format!(
        "BEGIN; LOCK TABLE {schema}.configuration IN EXCLUSIVE MODE; \
         SELECT pg_sleep(60); COMMIT"
    );
    let locking = {
        let postgres = Arc::clone(&postgres);
        thread::spawn(move || postgres.sql(&lock).is_ok())
    };
    let held = "SELECT count(*) FROM pg_locks WHERE mode = 'ExclusiveLock' \
         AND relation IS NOT NULL AND granted";
    let is_locked = async {
        while postgres.sql(held).unwrap() == "0" {
            sleep(Duration::from_millis(20)).await;
        }
    };
    within(is_locked).await;
    let writes: Vec<_> = (0..40)
        .map(|number| {
            let (alice, path) = (alice.clone(), path.clone());
            let url = format!("https://git.example.net/{number}");
            tokio::spawn(async move {
                loop {
                    alice.put(&path, body(&url)).await;
                }
            })
        })
        .collect();
    let waiting = "SELECT count(*) FROM pg_locks WHERE NOT granted";
    let all_wait = async {
        while postgres.sql(waiting).unwrap().parse::<u32>().unwrap() < 5 {
            sleep(Duration::from_millis(20)).await;
        }
    };
    within(all_wait).await;
    let shown = alice.get(&path).await;
    assert_eq!(shown.status, StatusCode::OK, "{}", shown.text);
    for write in &writes {
        write.abort();
    }
    let end = "SELECT pg_terminate_backend(pid) FROM pg_stat_activity \
         WHERE query LIKE '%pg_sleep(60)%' AND pid <> pg_backend_pid()";
    postgres.sql(end).unwrap();
    assert!(!locking.join().unwrap());
}
