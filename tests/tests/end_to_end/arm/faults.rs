//! A list of ARM's that is not there, whole and right deletes nothing, and what mends by itself is
//! taken up without a hand.

use std::time::Duration;

use anyhow::{Result, ensure};
use gitmoor_cluster::Mark;
use gitmoor_tests::{
    ConfigurationKey, World,
    arm::{Arm, Options},
    proxy::Fault,
};
use kube::ResourceExt as _;

use super::{applied, compliant, has_value, map};

/// More than one page each holds one.
const NAMES: [&str; 3] = ["fault-a", "fault-b", "fault-c"];

/// The uids of the configurations and of their objects: another uid is another object.
async fn uids(world: &World, keys: &[ConfigurationKey]) -> Result<Vec<String>> {
    let mut uids = Vec::new();
    for key in keys {
        let live = world.configurations(&key.namespace).get(&key.name).await?;
        uids.push(live.uid().unwrap_or_default());
        let maps = world.objects("v1", "ConfigMap", "configmaps", &key.namespace);
        uids.push(maps.get("steady").await?.uid().unwrap_or_default());
        let accounts = world.objects("v1", "ServiceAccount", "serviceaccounts", &key.namespace);
        uids.push(
            accounts
                .get("gitmoor-operator")
                .await?
                .uid()
                .unwrap_or_default(),
        );
    }
    Ok(uids)
}

async fn nothing_was_deleted(world: &World, since: Mark) -> Result<()> {
    let all = world.cluster.audit().since(since).await?;
    let deletes: Vec<_> = all
        .iter()
        .filter(|one| one.verb.starts_with("delete"))
        .filter(|one| one.user.starts_with("system:serviceaccount:"))
        .filter(|one| !one.user.starts_with("system:serviceaccount:kube-system:"))
        .collect();
    ensure!(deletes.is_empty(), "{deletes:#?}");
    Ok(())
}

/// Waits until ARM was asked so often under the present fault. Before a list is asked for, the
/// agent has made what it will of the one before.
async fn lists(arm: &Arm, count: usize) -> Result<()> {
    arm.world
        .eventually("ARM is asked", || async {
            Ok(arm.proxy.lists().len() >= count)
        })
        .await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_list_that_fails_in_any_way_deletes_nothing_and_recovers_by_itself() -> Result<()> {
    let arm = Arm::start(Options {
        page_size: Some(1),
        runtime: gitmoor_agent::Runtime::InProcess,
    })
    .await?;
    let world = &arm.world;
    let steady = map("steady", "0");
    let mut keys = Vec::new();
    let mut repositories = Vec::new();
    for name in NAMES {
        let files = [("all/steady.yaml", &*steady)];
        let repository = world.repository(name, &files).await?;
        let properties = arm.properties(name, name, "--git-path=all --sync-garbage-collection");
        keys.push(arm.configure(name, &properties).await?);
        repositories.push(repository);
    }
    for (key, repository) in keys.iter().zip(&repositories) {
        arm.until(key, "applied", applied(&repository.head()?))
            .await?;
    }
    let before = uids(world, &keys).await?;
    let start = world.mark()?;

    let wait = Duration::from_secs(5);
    let faults = [
        Fault::Status(500),
        Fault::RetryAfter(wait),
        Fault::Cut,
        Fault::Truncated,
        Fault::LaterPages(500),
        Fault::Body("{}"),
        Fault::Silence,
    ];
    for (round, fault) in faults.into_iter().enumerate() {
        let round = round + 1;
        arm.proxy.fault(Some(fault.clone()));
        // What ARM says now cannot be seen yet: the last configuration's own path is new.
        let name = NAMES[round % NAMES.len()];
        let (path, value) = (format!("extra-{round}"), round.to_string());
        let repository = &repositories[round % NAMES.len()];
        let extra = (format!("{path}/extra.yaml"), map("extra", &value));
        repository.commit(&[(&extra.0, &extra.1)], &[], &path)?;
        let params = format!("--git-path=all,{path} --sync-garbage-collection");
        arm.configure(name, &arm.properties(name, name, &params))
            .await?;
        lists(&arm, 2).await?;
        assert_eq!(uids(world, &keys).await?, before, "{fault:?}");
        nothing_was_deleted(world, start).await?;
        if let Fault::RetryAfter(wait) = fault {
            let lists = arm.proxy.lists();
            let waited = lists[1] - lists[0];
            assert!(waited >= wait, "asked again after {waited:?}");
        }
        if fault == Fault::Silence {
            // Operators need no ARM.
            let changed = map("steady", "1");
            repository.commit(&[("all/steady.yaml", &changed)], &[], "steady")?;
            has_value(world, name, "steady", Some("1")).await?;
        }

        let extras = world.config_map(name, "extra").await?;
        assert_ne!(
            extras.and_then(|map| map.get("value").cloned()),
            Some(value.clone()),
            "{fault:?} lets the list through"
        );
        arm.proxy.fault(None);
        has_value(world, name, "extra", Some(&value)).await?;
    }
    assert_eq!(uids(world, &keys).await?, before);
    nothing_was_deleted(world, start).await?;
    for (name, repository) in NAMES.iter().zip(&repositories) {
        arm.compliance(name, "compliant", compliant(&repository.head()?))
            .await?;
    }

    // The same world does delete when a whole list says so.
    arm.delete(NAMES[0]).await?;
    world
        .eventually("one is gone", || async {
            let api = world.configurations(NAMES[0]);
            Ok(api.get_opt(NAMES[0]).await?.is_none())
        })
        .await?;
    assert_eq!(uids(world, &keys[1..]).await?, before[3..]);
    assert!(nothing_was_deleted(world, start).await.is_err());
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn an_agent_that_starts_while_arm_is_silent_lets_operators_go_on_and_deletes_nothing()
-> Result<()> {
    let mut arm = Arm::start(Options {
        runtime: gitmoor_agent::Runtime::InProcess,
        ..Options::default()
    })
    .await?;
    let name = NAMES[0];
    let files = [("all/steady.yaml", &*map("steady", "0"))];
    let repository = arm.world.repository(name, &files).await?;
    let properties = arm.properties(name, name, "--git-path=all --sync-garbage-collection");
    let keys = [arm.configure(name, &properties).await?];
    arm.until(&keys[0], "applied", applied(&repository.head()?))
        .await?;
    let before = uids(&arm.world, &keys).await?;
    let start = arm.world.mark()?;

    arm.proxy.fault(Some(Fault::Silence));
    arm.restart_agent().await?;
    let asked = arm.proxy.lists().len();
    let changed = map("steady", "1");
    repository.commit(&[("all/steady.yaml", &changed)], &[], "steady")?;
    has_value(&arm.world, name, "steady", Some("1")).await?;
    lists(&arm, asked + 2).await?;
    assert_eq!(uids(&arm.world, &keys).await?, before);
    nothing_was_deleted(&arm.world, start).await
}
