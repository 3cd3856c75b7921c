//! PostgreSQL goes away under the portal, and comes back.

use std::{
    collections::HashSet,
    sync::{Arc, Mutex},
    time::Duration,
};

use gitmoor_portal::Location;
use gitmoor_postgres::{Options, Postgres};
use tempfile::TempDir;
use tokio::time::sleep;

use super::server::{CLUSTER, Server, body, versioned, versioned_list, within};

const URL: &str = "https://git.example.net/a.git";

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

    // By writer, what it was told to be written.
    let acknowledged: Arc<[Mutex<Vec<String>>; WRITERS]> = Arc::default();
    let done = || {
        let each = acknowledged.iter();
        each.map(|names| names.lock().unwrap().len())
            .collect::<Vec<_>>()
    };
    let writers: Vec<_> = (0..WRITERS)
        .map(|writer| {
            let (alice, acknowledged) = (alice.clone(), Arc::clone(&acknowledged));
            tokio::spawn(async move {
                for number in 0.. {
                    let name = format!("c{writer}-{number}");
                    let path = versioned(CLUSTER, &name);
                    let answer = alice.put(&path, body(URL)).await;
                    if answer.status.is_success() {
                        acknowledged[writer].lock().unwrap().push(name);
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
    for writer in writers {
        writer.abort();
    }
    let (items, _) = alice.pages(&versioned_list(CLUSTER)).await;
    let found: HashSet<&str> = items
        .iter()
        .map(|item| item["name"].as_str().unwrap())
        .collect();
    for names in acknowledged.iter() {
        for name in names.lock().unwrap().iter() {
            assert!(found.contains(name.as_str()), "{name} is lost");
        }
    }
    drop(postgres);
}
