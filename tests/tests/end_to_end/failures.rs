//! What goes wrong is said in words that help, loses nothing, and mends itself.

use anyhow::Result;
use gitmoor_crds::{Credentials, SourceControlConfigurationStatus};
use gitmoor_git::{Fault, Server, ServerOptions};
use gitmoor_tests::{condition, world};

fn map(name: &str, value: &str) -> String {
    format!(
        "apiVersion: v1\nkind: ConfigMap\nmetadata: {{name: {name}}}\ndata: {{value: {value:?}}}\n"
    )
}

fn reason(status: &SourceControlConfigurationStatus) -> &str {
    condition(status, "Ready").map_or("", |(_, reason, _)| reason)
}

fn message(status: &SourceControlConfigurationStatus) -> &str {
    condition(status, "Ready").map_or("", |(_, _, message)| message)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_malformed_file_among_many_is_named_and_prunes_nothing() -> Result<()> {
    let world = world().await;
    let namespace = world.namespace("malformed").await?;
    let (a, b) = (map("a", "1"), map("b", "1"));
    let repository = world
        .repository(&namespace, &[("a.yaml", &a), ("b.yaml", &b)])
        .await?;
    let key = world
        .follow(&namespace, "shop", world.spec(&namespace))
        .await?;
    world.synced(&key, &repository.head()?).await?;

    let broken = "apiVersion: v1\nkind: ConfigMap\nmetadata:\n  name: b\n data: {}\n";
    let changed = map("a", "2");
    let commit = repository.commit(&[("a.yaml", &changed), ("b.yaml", broken)], &[], "breaks b")?;
    let status = world.synced(&key, &commit).await?;
    let problem = &status.problems[0];
    assert_eq!(
        (problem.path.as_str(), problem.reason.as_str()),
        ("b.yaml", "InvalidYaml")
    );
    assert!(
        problem.line.is_some_and(|line| (4..=5).contains(&line)),
        "{problem:?}"
    );
    assert_eq!(
        world.config_map(&namespace, "a").await?.expect("a is live")["value"],
        "2"
    );
    assert!(
        world.config_map(&namespace, "b").await?.is_some(),
        "the last good state stays"
    );

    let commit = repository.commit(&[("b.yaml", &b)], &[], "mends b")?;
    let status = world.synced(&key, &commit).await?;
    assert_eq!(reason(&status), "Applied", "{status:#?}");
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn an_unknown_kind_and_a_rejected_object_do_not_hold_up_others() -> Result<()> {
    let world = world().await;
    let namespace = world.namespace("rejected").await?;
    let unknown = "---\napiVersion: example.com/v1\nkind: Gadget\nmetadata: {name: g}\n";
    let typo = "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: typo}\ndatta: {a: b}\n";
    let rejected = "apiVersion: v1\nkind: Service\nmetadata: {name: nothing}\nspec: {ports: [{port: 99999}]}\n";
    let a = map("a", "1");
    let files = [
        ("a.yaml", &*a),
        ("gadget.yaml", unknown),
        ("typo.yaml", typo),
        ("service.yaml", rejected),
    ];
    let repository = world.repository(&namespace, &files).await?;
    let key = world
        .follow(&namespace, "shop", world.spec(&namespace))
        .await?;
    let status = world.synced(&key, &repository.head()?).await?;
    let found: Vec<_> = status
        .problems
        .iter()
        .map(|one| (one.path.as_str(), one.line, one.reason.as_str()))
        .collect();
    assert_eq!(
        found,
        [
            ("gadget.yaml", Some(2), "UnknownKind"),
            ("service.yaml", Some(1), "Invalid"),
            ("typo.yaml", Some(1), "Invalid"),
        ],
        "{status:#?}"
    );
    assert!(
        status.problems[1].message.contains("99999"),
        "{:?}",
        status.problems[1]
    );
    assert!(
        status.problems[2].message.contains("datta"),
        "{:?}",
        status.problems[2]
    );
    assert!(world.config_map(&namespace, "a").await?.is_some());
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_refused_secret_is_not_quoted() -> Result<()> {
    let world = world().await;
    let namespace = world.namespace("secret").await?;
    let secret = "apiVersion: v1\nkind: Secret\nmetadata: {name: s}\ndata: {password: \"c4n4ry-n0t-b4se64!\"}\n";
    let repository = world.repository(&namespace, &[("s.yaml", secret)]).await?;
    let key = world
        .follow(&namespace, "shop", world.spec(&namespace))
        .await?;
    let status = world.synced(&key, &repository.head()?).await?;
    assert_eq!(status.problems.len(), 1, "{status:#?}");
    let everything = world
        .kubectl(&[
            "-n",
            &namespace,
            "get",
            "scc,events,configmaps",
            "-o",
            "yaml",
        ])
        .await?;
    assert!(!everything.contains("c4n4ry"), "{everything}");
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_missing_branch_is_named_and_found_when_it_comes() -> Result<()> {
    let world = world().await;
    let namespace = world.namespace("branch").await?;
    let repository = world
        .repository(&namespace, &[("a.yaml", &map("a", "1"))])
        .await?;
    let mut spec = world.spec(&namespace);
    spec.reference.branch = Some("release".to_owned());
    let key = world.follow(&namespace, "shop", spec).await?;
    let status = world
        .until(&key, "told of the branch", |status| {
            reason(status) == "BranchNotFound"
        })
        .await?;
    assert!(message(&status).contains("release"), "{}", message(&status));
    repository.branch("release")?;
    world.synced(&key, &repository.head()?).await?;
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_repository_that_is_gone_leaves_what_is_live_and_healing() -> Result<()> {
    let world = world().await;
    let namespace = world.namespace("gone").await?;
    let repository = world
        .repository(&namespace, &[("a.yaml", &map("a", "1"))])
        .await?;
    let key = world
        .follow(&namespace, "shop", world.spec(&namespace))
        .await?;
    let commit = repository.head()?;
    world.synced(&key, &commit).await?;
    let away = repository.rename(&format!("{namespace}-away"))?;
    world.request_sync(&key).await?;
    let status = world
        .until(&key, "told of the repository", |status| {
            reason(status) == "RepositoryNotFound"
        })
        .await?;
    assert_eq!(
        status.applied_revision,
        Some(commit.clone()),
        "the last good state stays"
    );
    world
        .kubectl(&["-n", &namespace, "delete", "configmap", "a"])
        .await?;
    world
        .eventually("a is healed all the same", || async {
            Ok(world.config_map(&namespace, "a").await?.is_some())
        })
        .await?;
    away.rename(&namespace)?;
    let status = world
        .until(&key, "well again", |status| reason(status) == "Applied")
        .await?;
    assert_eq!(status.applied_revision, Some(commit));
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_wrong_password_is_said_and_a_right_one_is_picked_up() -> Result<()> {
    let world = world().await;
    let git = Server::start(ServerOptions {
        basic: Some(("reader".to_owned(), "r1ght-p4ssword".to_owned())),
        ..ServerOptions::default()
    })
    .await?;
    let namespace = world.namespace("password").await?;
    let repository = git.create("private")?;
    let commit = repository.commit(&[("a.yaml", &map("a", "1"))], &[], "first")?;
    world
        .kubectl(&[
            "-n",
            &namespace,
            "create",
            "secret",
            "generic",
            "git",
            "--from-literal=username=reader",
            "--from-literal=password=wr0ng-p4ssword",
        ])
        .await?;
    let mut spec = world.spec("unused");
    spec.repository = git.url("private");
    spec.credentials = Some(Credentials {
        secret_name: "git".to_owned(),
    });
    let key = world.follow(&namespace, "shop", spec).await?;
    let status = world
        .until(&key, "told of the password", |status| {
            reason(status) == "AuthenticationFailed"
        })
        .await?;
    assert!(
        !message(&status).contains("p4ssword"),
        "{}",
        message(&status)
    );
    world
        .kubectl(&[
            "-n",
            &namespace,
            "patch",
            "secret",
            "git",
            "-p",
            "{\"stringData\":{\"password\":\"r1ght-p4ssword\"}}",
        ])
        .await?;
    // No hand but the one that mends the Secret.
    world
        .until(&key, "applied", |status| {
            status.applied_revision.as_deref() == Some(&*commit)
        })
        .await?;
    git.stop().await;
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_failing_git_server_is_said_and_outlived() -> Result<()> {
    let world = world().await;
    let git = Server::start(ServerOptions::default()).await?;
    let namespace = world.namespace("faults").await?;
    let repository = git.create("shop")?;
    let first = repository.commit(&[("a.yaml", &map("a", "1"))], &[], "first")?;
    let mut spec = world.spec("unused");
    spec.repository = git.url("shop");
    let key = world.follow(&namespace, "shop", spec).await?;
    world.synced(&key, &first).await?;
    git.fault(Some(Fault::Status(503)));
    let second = repository.commit(&[("a.yaml", &map("a", "2"))], &[], "second")?;
    world.request_sync(&key).await?;
    let status = world
        .until(&key, "told of the server", |status| {
            reason(status) == "RepositoryUnreachable"
        })
        .await?;
    assert_eq!(status.applied_revision.as_deref(), Some(&*first));
    git.fault(None);
    world
        .until(&key, "applied", |status| {
            status.applied_revision.as_deref() == Some(&*second)
        })
        .await?;
    git.stop().await;
    Ok(())
}
