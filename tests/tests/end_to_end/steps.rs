//! Each step of a sync fails, or the operator dies there, one after the other: start, fetch, plan,
//! apply, prune, report, and the checkpoint at the end. A step is a request; what a request has done
//! is known to the server alone.

use std::{
    collections::BTreeMap,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
};

use anyhow::{Result, ensure};
use gitmoor_tests::{
    bare_world,
    lone::Lone,
    relay::Fate,
    trees::{Id, Kind, Object, Tree},
};

/// Each commit adds, changes, moves, replaces and removes.
fn tree(round: usize) -> Tree {
    let mut tree = Tree::default();
    let value = format!("value {round}");
    tree.declare(Kind::ConfigMap, "stays", "stays.yaml", "for ever");
    tree.declare(Kind::ConfigMap, "changes", "changes.yaml", &value);
    tree.declare(Kind::Secret, "changes", "secret.yaml", &value);
    let folder = ["here", "there"][round % 2];
    tree.declare(
        Kind::ConfigMap,
        "moves",
        &format!("{folder}/moves.yaml"),
        "the same",
    );
    let kind = [Kind::ConfigMap, Kind::ServiceAccount][round % 2];
    tree.declare(kind, "turns", "turns.yaml", &value);
    let path = format!("comes-{round}.yaml");
    tree.declare(Kind::ConfigMap, &format!("comes-{round}"), &path, &value);
    tree
}

/// Which objects must be the very same ones before and after.
fn lasting(before: &Tree, after: &Tree, applied: &BTreeMap<Id, Object>) -> BTreeMap<Id, String> {
    let ids = before.0.keys().filter(|id| after.0.contains_key(id));
    ids.filter_map(|id| Some((id.clone(), applied.get(id)?.uid.clone())))
        .collect()
}

/// Lets one step after the other meet its fate, until a life of the operator, from its start to its
/// end, has fewer steps.
async fn at_steps(
    prefix: &str,
    fate: Fate,
    steps: impl IntoIterator<Item = usize>,
    process: Option<&'static str>,
) -> Result<()> {
    let world = bare_world().await;
    let mut last = tree(0);
    let mut lone = Lone::new(world, prefix, &last).await?;
    lone.process = process;
    let bystander = ["create", "configmap", "bystander", "--from-literal=a=b"];
    let namespace = lone.key.namespace.clone();
    world
        .kubectl(&[&["-n", &namespace], &bystander[..]].concat())
        .await?;
    lone.start()?;
    lone.has(&last).await?;
    lone.stop().await?;
    let mut round = 0;
    for step in steps {
        let before = lone.applied().await?;
        round += 1;
        let next = tree(round);
        next.commit(&lone.repository, "next")?;
        let taken = Arc::new(AtomicUsize::new(0));
        for relay in [&lone.api, &lone.git] {
            let taken = Arc::clone(&taken);
            relay.script(move |_| {
                if taken.fetch_add(1, Ordering::SeqCst) + 1 == step {
                    fate
                } else {
                    Fate::Pass
                }
            });
        }
        lone.start()?;
        let after = loop {
            tokio::select! {
                after = lone.has(&next) => break after?,
                () = lone.api.is_down() => {}
                () = lone.git.is_down() => {}
            }
            lone.die().await?;
            for relay in [&lone.api, &lone.git] {
                relay.up();
            }
            lone.start()?;
        };
        lone.stop().await?;
        // It may have met its fate while it was ending.
        for relay in [&lone.api, &lone.git] {
            relay.script(|_| Fate::Pass);
            relay.up();
        }
        ensure!(
            lasting(&last, &next, &before) == lasting(&last, &next, &after),
            "at step {step} an object was made anew: {before:#?} {after:#?}"
        );
        last = next;
        if taken.load(Ordering::SeqCst) < step {
            eprintln!("{prefix}: {} steps", step - 1);
            break;
        }
    }
    lone.is_as_fresh(&last).await?;
    lone.start()?;
    let commit = lone.repository.head()?;
    let status = world.synced(&lone.key, &commit).await?;
    lone.stop().await?;
    ensure!(status.problems.is_empty(), "{:#?}", status.problems);
    ensure!(
        status.objects.map(|counts| counts.total as usize) == Some(last.0.len()),
        "the inventory has what is not there: {status:#?}"
    );
    ensure!(world.config_map(&namespace, "bystander").await?.is_some());
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn whichever_step_fails_is_made_up_for() -> Result<()> {
    tokio::try_join!(
        at_steps("refused", Fate::Refused(500), 1.., None),
        at_steps("lost", Fate::Severed, 1.., None),
        at_steps("unanswered", Fate::Unanswered, 1.., None),
    )?;
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_death_before_or_after_any_step_is_made_up_for() -> Result<()> {
    let process = Some("crashes::operator_process");
    tokio::try_join!(
        at_steps("death-before", Fate::Down, 1.., None),
        at_steps("death-after", Fate::DownUnanswered, 1.., None),
        // The same with a real process and a signal that it cannot catch.
        at_steps("killed", Fate::DownUnanswered, (3..).step_by(3), process),
    )?;
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn what_was_deleted_while_the_operator_was_away_is_no_great_deletion() -> Result<()> {
    let world = bare_world().await;
    let mut tree = Tree::default();
    tree.declare(Kind::ConfigMap, "stays", "stays.yaml", "a");
    let mut all = Tree::default();
    all.declare(Kind::ConfigMap, "stays", "stays.yaml", "a");
    all.declare(Kind::ConfigMap, "goes", "goes.yaml", "a");
    let away: Vec<String> = (0..13).map(|number| format!("away-{number}")).collect();
    for name in &away {
        all.declare(Kind::ConfigMap, name, &format!("{name}.yaml"), "a");
    }
    let mut lone = Lone::new(world, "away", &all).await?;
    lone.start()?;
    lone.has(&all).await?;
    world.synced(&lone.key, &lone.repository.head()?).await?;
    lone.stop().await?;
    let mut delete = vec!["-n", &lone.key.namespace, "delete", "configmaps"];
    delete.extend(away.iter().map(String::as_str));
    world.kubectl(&delete).await?;
    tree.commit(&lone.repository, "what is away, and one more")?;
    lone.start()?;
    let status = world.synced(&lone.key, &lone.repository.head()?).await?;
    lone.has(&tree).await?;
    lone.stop().await?;
    ensure!(status.problems.is_empty(), "{:#?}", status.problems);
    Ok(())
}
