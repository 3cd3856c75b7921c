//! Servers that take too long, and fetches that nobody waits for any more.

use std::time::{Duration, Instant};

use gitmoor_git::{Fault, ServerOptions};
use gitmoor_operator::fetch::Limits;
use tokio::time::timeout;
use tokio_util::sync::CancellationToken;

use super::{Scene, short};

/// More than the limits of [`short`], and far less than any of the default ones.
const PATIENCE: Duration = Duration::from_secs(10);

#[tokio::test]
async fn a_silent_or_dripping_server_is_given_up_in_time_and_asked_again() {
    let scene = Scene::with(ServerOptions::default(), short()).await;
    scene.commit(&[("a.yaml", "a")]);
    for fault in [Fault::Silence, Fault::Drip, Fault::DripObjects] {
        scene.server.fault(Some(fault.clone()));
        let start = Instant::now();
        let error = timeout(PATIENCE, scene.fetch()).await.unwrap().unwrap_err();
        assert_eq!(error.reason(), "RepositoryTimedOut", "{fault:?}");
        assert!(start.elapsed() < Duration::from_secs(4), "{fault:?}");
    }
    scene.server.fault(None);
    scene.fetch().await.unwrap();
}

#[tokio::test]
async fn a_cancelled_fetch_ends_at_once() {
    let scene = Scene::new().await;
    scene.commit(&[("a.yaml", "a")]);
    scene.server.fault(Some(Fault::Silence));
    let cancel = CancellationToken::new();
    let fetch = scene.store.fetch(scene.remote(None), cancel.clone());
    let cancelled = async {
        while scene.server.requests() == 0 {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
        cancel.cancel();
    };
    let both = async { tokio::join!(fetch, cancelled) };
    let (result, ()) = timeout(PATIENCE, both).await.unwrap();
    assert_eq!(result.unwrap_err().reason(), "Stopped");
}

#[tokio::test]
async fn a_fetch_that_is_dropped_does_not_hold_up_the_next() {
    let scene = Scene::new().await;
    scene.commit(&[("a.yaml", "a")]);
    scene.server.fault(Some(Fault::Silence));
    assert!(
        timeout(Duration::from_millis(300), scene.fetch())
            .await
            .is_err()
    );
    scene.server.fault(None);
    timeout(PATIENCE, scene.fetch()).await.unwrap().unwrap();
}

#[tokio::test]
async fn a_store_is_removed_while_a_server_is_silent() {
    let scene = Scene::new().await;
    scene.commit(&[("a.yaml", "a")]);
    scene.server.fault(Some(Fault::Silence));
    let (store, remote) = (scene.store.clone(), scene.remote(None));
    let fetch = tokio::spawn(async move { store.fetch(remote, CancellationToken::new()).await });
    while scene.server.requests() == 0 {
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    // Aborting is not waiting: on this one thread the fetch ends only while the removal waits.
    fetch.abort();
    timeout(PATIENCE, scene.store.remove()).await.unwrap();
}

#[tokio::test]
async fn what_is_here_is_read_while_a_server_is_silent() {
    let scene = Scene::new().await;
    scene.commit(&[("a.yaml", "a")]);
    let commit = scene.fetch().await.unwrap();
    let before = scene.server.requests();
    scene.server.fault(Some(Fault::Silence));
    let (store, remote) = (scene.store.clone(), scene.remote(None));
    let cancel = CancellationToken::new();
    let stop = cancel.clone();
    let fetch = tokio::spawn(async move { store.fetch(remote, stop).await });
    while scene.server.requests() == before {
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    let store = scene.store.clone();
    let read = tokio::task::spawn_blocking(move || store.snapshot(commit).unwrap().files.len());
    assert_eq!(timeout(PATIENCE, read).await.unwrap().unwrap(), 1);
    assert!(!fetch.is_finished());
    cancel.cancel();
    fetch.await.unwrap().unwrap_err();
}

#[tokio::test]
async fn more_than_the_size_limit_is_not_taken() {
    let limits = Limits {
        bytes: 1 << 20,
        ..Limits::default()
    };
    let scene = Scene::with(ServerOptions::default(), limits).await;
    // Something that does not compress.
    let mut state = 1_u64;
    let noise: String = (0..4 << 20)
        .map(|_| {
            state ^= state << 13;
            state ^= state >> 7;
            state ^= state << 17;
            char::from(b'0' + (state % 75) as u8)
        })
        .collect();
    scene.commit(&[("noise", &noise)]);
    let error = scene.fetch().await.unwrap_err();
    assert_eq!(error.reason(), "RepositoryTooLarge");
    assert!(error.to_string().contains("1 MiB"), "{error}");
}
