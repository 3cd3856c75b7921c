//! Whatever happens, and in whatever order, the end is that of a fresh sync of the last commit: made
//! up from fixed seeds, so that a failure can be looked at again.

use std::time::Duration;

use anyhow::{Result, ensure};
use gitmoor_tests::{
    bare_world,
    lone::Lone,
    relay::{Fate, is_watch},
    trees::Tree,
};
use kube::api::{DeleteParams, Patch, PatchParams};
use rand::{Rng as _, SeedableRng as _, rngs::StdRng};
use tokio::time::sleep;

/// Somebody deletes or changes one of the objects by hand.
async fn meddle(lone: &Lone<'_>, rng: &mut StdRng) -> Result<()> {
    let objects = lone.applied().await?;
    let Some(((kind, name), _)) = objects
        .iter()
        .nth(rng.random_range(0..objects.len().max(1)))
    else {
        return Ok(());
    };
    let namespace = &lone.key.namespace;
    let api = lone
        .world
        .objects("v1", &kind.to_string(), kind.plural(), namespace);
    let done = if rng.random_bool(0.4) {
        api.delete(name, &DeleteParams::default()).await.map(|_| ())
    } else {
        let edit = kind.edit("by hand");
        let parameters = PatchParams {
            field_manager: Some("kubectl-edit".to_owned()),
            ..PatchParams::default()
        };
        let edit = Patch::Merge(&edit);
        api.patch(name, &parameters, &edit).await.map(|_| ())
    };
    match done {
        // The operator was faster.
        Err(kube::Error::Api(status)) if status.code == 404 => Ok(()),
        other => Ok(other?),
    }
}

/// Commits, edits, crashes and restarts.
async fn sequence(seed: u64) -> Result<()> {
    let mut rng = StdRng::seed_from_u64(seed);
    let mut tree = Tree::default();
    tree.change(&mut rng);
    let mut lone = Lone::new(bare_world().await, "sequence", &tree).await?;
    lone.start()?;
    for _ in 0..30 {
        match rng.random_range(0..20) {
            0..10 => {
                for _ in 0..rng.random_range(1..4) {
                    tree.change(&mut rng);
                }
                tree.commit(&lone.repository, "change")?;
                lone.world.request_sync(&lone.key).await?;
            }
            10..15 => meddle(&lone, &mut rng).await?,
            15..17 => {
                lone.die().await?;
                lone.start()?;
            }
            17 => {
                lone.stop().await?;
                lone.start()?;
            }
            18 => {
                lone.api.sever();
                lone.git.sever();
            }
            _ => {
                lone.has(&tree).await?;
            }
        }
        // So that one thing happens in the middle of another, and not always at its start.
        sleep(Duration::from_millis(rng.random_range(0..300))).await;
    }
    lone.has(&tree).await?;
    let writes = lone.writes_of_another_life().await?;
    ensure!(writes.is_empty(), "seed {seed}: {writes:#?}");
    lone.is_as_fresh(&tree).await
}

#[tokio::test(flavor = "multi_thread")]
async fn any_sequence_of_commits_edits_crashes_and_restarts_ends_as_a_fresh_sync() -> Result<()> {
    tokio::try_join!(sequence(1), sequence(2), sequence(3), sequence(4))?;
    Ok(())
}

/// What networks and API servers in trouble do.
fn trouble(rng: &mut StdRng, is_watch: bool) -> Fate {
    let while_ = Duration::from_millis(rng.random_range(0..1500));
    match rng.random_range(0..100) {
        0..30 if is_watch => Fate::Brief(while_),
        30..40 if is_watch => Fate::Expired,
        0..8 => Fate::Late(while_ / 3),
        8..12 => Fate::Refused(429),
        12..16 => Fate::Refused(500),
        16..18 => Fate::Refused(503),
        18..22 => Fate::Lost,
        22..26 => Fate::Unanswered,
        26 => Fate::Severed,
        _ => Fate::Pass,
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn fifty_commits_through_a_bad_network_end_right() -> Result<()> {
    let mut rng = StdRng::seed_from_u64(50);
    let mut tree = Tree::default();
    tree.change(&mut rng);
    let mut lone = Lone::new(bare_world().await, "storm", &tree).await?;
    // A repository that gave no answer is left alone for longer and longer: less of it there.
    for (seed, share, relay) in [(51, 1.0, &lone.api), (52, 0.3, &lone.git)] {
        let fates = std::sync::Mutex::new(StdRng::seed_from_u64(seed));
        relay.script(move |head| {
            let mut fates = fates.lock().expect("nothing panics with it");
            if fates.random_bool(share) {
                trouble(&mut fates, is_watch(&head.uri))
            } else {
                Fate::Pass
            }
        });
    }
    lone.start()?;
    for round in 1..=50 {
        for _ in 0..rng.random_range(1..4) {
            tree.change(&mut rng);
        }
        tree.commit(&lone.repository, "change")?;
        lone.world.request_sync(&lone.key).await?;
        if rng.random_bool(0.3) {
            meddle(&lone, &mut rng).await?;
        }
        if round % 10 == 0 {
            lone.has(&tree).await?;
        }
        sleep(Duration::from_millis(rng.random_range(0..500))).await;
    }
    lone.has(&tree).await?;
    for relay in [&lone.api, &lone.git] {
        relay.script(|_| Fate::Pass);
    }
    let writes = lone.writes_of_another_life().await?;
    ensure!(writes.is_empty(), "{writes:#?}");
    lone.is_as_fresh(&tree).await
}
