//! PostgreSQL goes away under the portal, and comes back.

use std::{
    sync::atomic::{AtomicUsize, Ordering},
    time::Duration,
};

use gitmoor_portal::Location;
use gitmoor_postgres::{Options, Postgres};
use tempfile::TempDir;
use tokio::time::sleep;

use super::server::{CLUSTER, Server, body, versioned, within};

fn url(number: usize) -> String {
    format!("https://git.example.net/{number}.git")
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_killed_postgres_loses_nothing_that_was_acknowledged_and_the_portal_goes_on() {
    const WRITERS: usize = 8;
    let mut postgres = Postgres::start(Options { durable: true }).unwrap();
    let location = Location::parse(&postgres.fresh().unwrap()).unwrap();
    let server = Server::start_in(TempDir::new().unwrap(), |settings| {
        settings.database = Some(location);
    })
    .await;
    let alice = server.contributor().await;

    let last: &'static [AtomicUsize] = (0..WRITERS)
        .map(|_| AtomicUsize::new(0))
        .collect::<Vec<_>>()
        .leak();
    let done = || {
        last.iter()
            .map(|last| last.load(Ordering::SeqCst))
            .collect::<Vec<_>>()
    };
    let writers: Vec<_> = last
        .iter()
        .enumerate()
        .map(|(writer, last)| {
            let alice = alice.clone();
            tokio::spawn(async move {
                for number in 1.. {
                    let path = versioned(CLUSTER, &format!("c{writer}"));
                    let answer = alice.put(&path, body(&url(number))).await;
                    if answer.status.is_success() {
                        last.store(number, Ordering::SeqCst);
                    } else {
                        assert!(answer.status.is_server_error(), "{}", answer.text);
                        // As a client that was told to try again later.
                        sleep(Duration::from_millis(50)).await;
                    }
                }
            })
        })
        .collect();
    let wrote_again = async |before: Vec<usize>| {
        within(async {
            while done()
                .iter()
                .zip(&before)
                .any(|(now, before)| now <= before)
            {
                sleep(Duration::from_millis(20)).await;
            }
        })
        .await;
    };
    wrote_again(done()).await;
    let postgres = tokio::task::spawn_blocking(move || {
        postgres.kill_and_restart().unwrap();
        postgres
    })
    .await
    .unwrap();
    wrote_again(done()).await;
    let before = done();
    for writer in writers {
        writer.abort();
    }
    for (writer, last) in before.into_iter().enumerate() {
        let shown = alice.get(&versioned(CLUSTER, &format!("c{writer}"))).await;
        let found = shown.body["properties"]["repositoryUrl"].as_str().unwrap();
        let number = found.trim_start_matches("https://git.example.net/");
        let number: usize = number.trim_end_matches(".git").parse().unwrap();
        assert!(number >= last, "{found} of {writer} after {last}");
    }
    drop(postgres);
}
