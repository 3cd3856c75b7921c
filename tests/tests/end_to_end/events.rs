//! What people read where they look: events of the configuration and of its objects.

use anyhow::{Context as _, Result};
use gitmoor_tests::{ConfigurationKey, World, world};
use k8s_openapi::api::{core::v1::ConfigMap, events::v1::Event};
use kube::{
    Api,
    api::{ListParams, Patch, PatchParams},
};
use serde_json::json;

fn map(name: &str, colour: &str) -> String {
    format!(
        "apiVersion: v1\nkind: ConfigMap\nmetadata: {{name: {name}}}\ndata: {{colour: {colour}}}\n"
    )
}

/// Events that the operator has written about an object of this kind and name.
async fn events(world: &World, namespace: &str, kind: &str, name: &str) -> Result<Vec<Event>> {
    let api: Api<Event> = Api::namespaced(world.client(), namespace);
    let all = api.list(&ListParams::default()).await?;
    let ours = all.into_iter().filter(|event| {
        let regarding = event.regarding.as_ref();
        event.reporting_controller.as_deref() == Some("gitmoor.io/operator")
            && regarding.is_some_and(|one| {
                one.kind.as_deref() == Some(kind) && one.name.as_deref() == Some(name)
            })
    });
    let mut ours: Vec<_> = ours.collect();
    ours.sort_by_key(|event| event.event_time.clone());
    Ok(ours)
}

/// Waits for an event of the configuration with this reason, and words in its note.
async fn told(world: &World, key: &ConfigurationKey, reason: &str, words: &str) -> Result<Event> {
    let kind = "SourceControlConfiguration";
    let find = || async {
        let all = events(world, &key.namespace, kind, &key.name).await?;
        anyhow::Ok(all.into_iter().find(|event| {
            event.reason.as_deref() == Some(reason)
                && event.note.as_ref().is_some_and(|note| note.contains(words))
        }))
    };
    let what = format!("an event {reason} says {words:?}");
    world
        .eventually(&what, || async { Ok(find().await?.is_some()) })
        .await?;
    find().await?.context("it was there")
}

#[tokio::test(flavor = "multi_thread")]
async fn events_tell_of_commits_problems_and_healed_drift() -> Result<()> {
    let world = world().await;
    let namespace = world.namespace("events").await?;
    let blue = map("settings", "blue");
    let repository = world
        .repository(&namespace, &[("settings.yaml", &blue)])
        .await?;
    let key = world
        .follow(&namespace, "shop", world.spec(&namespace))
        .await?;
    let first = repository.head()?;
    world.synced(&key, &first).await?;
    let event = told(world, &key, "Applied", &first[..12]).await?;
    assert_eq!(event.type_.as_deref(), Some("Normal"));
    let note = event.note.unwrap_or_default();
    assert!(note.contains("1 objects changed"), "{note}");

    // `kubectl describe` shows an object's events by its uid.
    let maps: Api<ConfigMap> = Api::namespaced(world.client(), &namespace);
    let uid = maps.get("settings").await?.metadata.uid;
    let bad = "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: settings}\ndatta: {a: b}\n";
    let commit = repository.commit(&[("settings.yaml", bad)], &[], "a typo")?;
    world.synced(&key, &commit).await?;
    let event = told(world, &key, "Problems", "settings.yaml:1").await?;
    assert_eq!(event.type_.as_deref(), Some("Warning"));
    world
        .eventually("the object's own event is there", || async {
            Ok(!events(world, &namespace, "ConfigMap", "settings")
                .await?
                .is_empty())
        })
        .await?;
    let of_object = events(world, &namespace, "ConfigMap", "settings").await?;
    let [event] = &of_object[..] else {
        panic!("{of_object:#?}");
    };
    assert_eq!(event.reason.as_deref(), Some("Invalid"));
    assert!(
        event
            .note
            .as_ref()
            .is_some_and(|note| note.contains("settings.yaml:1") && note.contains("datta")),
        "{event:#?}"
    );
    let regarding = event.regarding.as_ref().context("it is about something")?;
    assert_eq!(regarding.uid, uid);
    let related = event.related.as_ref().context("it names us")?;
    assert_eq!(related.name.as_deref(), Some("shop"));
    let described = world
        .kubectl(&["-n", &namespace, "describe", "configmap", "settings"])
        .await?;
    assert!(described.contains("datta"), "{described}");

    let commit = repository.commit(&[("settings.yaml", &blue)], &[], "mended")?;
    world.synced(&key, &commit).await?;
    told(world, &key, "Applied", &commit[..12]).await?;

    let edit = json!({"data": {"colour": "red"}});
    for count in 1..=2 {
        maps.patch("settings", &PatchParams::default(), &Patch::Merge(&edit))
            .await?;
        world
            .until(&key, "healed", |status| {
                status.objects.is_some_and(|counts| counts.healed == count)
            })
            .await?;
    }
    // The second time is no second event, but a series.
    world
        .eventually("it was healed twice", || async {
            let healed = told(world, &key, "Healed", "ConfigMap").await?;
            Ok(healed.series.is_some_and(|series| series.count == 2))
        })
        .await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_commit_with_many_bad_objects_does_not_flood_anyone_with_events() -> Result<()> {
    let world = world().await;
    let namespace = world.namespace("flood").await?;
    let bad: Vec<_> = (0..60)
        .map(|number| {
            (
                format!("{number}.yaml"),
                format!("apiVersion: v1\nkind: ConfigMap\nmetadata: {{name: m{number}}}\ndatta: {{a: b}}\n"),
            )
        })
        .collect();
    let files: Vec<_> = bad.iter().map(|(a, b)| (a.as_str(), b.as_str())).collect();
    let repository = world.repository(&namespace, &files).await?;
    let mark = world.mark()?;
    let key = world
        .follow(&namespace, "shop", world.spec(&namespace))
        .await?;
    world.synced(&key, &repository.head()?).await?;
    told(world, &key, "Problems", "and 59 more").await?;
    // What is well ends the account: all that was to be told has been told before it.
    let good: Vec<_> = (0..60)
        .map(|number| (format!("{number}.yaml"), map(&format!("m{number}"), "blue")))
        .collect();
    let files: Vec<_> = good.iter().map(|(a, b)| (a.as_str(), b.as_str())).collect();
    let commit = repository.commit(&files, &[], "all of it")?;
    world.synced(&key, &commit).await?;
    told(world, &key, "Applied", &commit[..12]).await?;
    let requests = world.requests(&namespace, mark).await?;
    let written = requests.iter().filter(|one| one.resource == "events");
    let written = written.count();
    assert!((10..=30).contains(&written), "{written} events");
    Ok(())
}
