//! Credentials given to ARM reach the Git server, and no place where people look.

use anyhow::Result;
use gitmoor_git::{Server, ServerOptions};
use gitmoor_tests::{
    arm::{arm, protected},
    logs,
};
use reqwest::StatusCode;
use serde_json::json;

use super::{applied, compliant, map};

const USER: &str = "canary-user-5e1f";
const KEY: &str = "canary-key-90c2~/+?";
const WRONG: &str = "canary-wrong-77ab";

/// A secret in all the forms in which it is sent.
fn canaries() -> Vec<String> {
    let basic = |key: &str| protected(&format!("{USER}:{key}"));
    [
        USER.to_owned(),
        KEY.to_owned(),
        WRONG.to_owned(),
        protected(USER),
        protected(KEY),
        protected(WRONG),
        basic(KEY),
        basic(WRONG),
        "canary-key".to_owned(),
    ]
    .into()
}

#[tokio::test(flavor = "multi_thread")]
async fn credentials_reach_the_git_server_and_nothing_that_is_shown() -> Result<()> {
    let (name, namespace) = ("hidden", "arm-hidden");
    let leaks = logs::watch(&canaries());
    let lines = logs::watch(&[namespace.to_owned()]);
    let arm = arm().await;
    let world = &arm.world;
    let git = Server::start(ServerOptions {
        basic: Some((USER.to_owned(), KEY.to_owned())),
        ..ServerOptions::default()
    })
    .await?;
    let repository = git.create("hidden")?;
    let commit = repository.commit(&[("a.yaml", &map("a", "1"))], &[], "first")?;
    let properties = |key: &str| {
        let mut properties = arm.properties(name, namespace, "");
        properties["repositoryUrl"] = json!(git.url("hidden"));
        properties["configurationProtectedSettings"] =
            json!({"httpsUser": protected(USER), "httpsKey": key});
        properties
    };
    let mut shown = Vec::new();

    // What is refused is not repeated.
    let refused = arm.put(name, &properties(&format!("{KEY}!"))).await?;
    assert_eq!(refused.status, StatusCode::BAD_REQUEST, "{refused:?}");
    shown.push(refused.body.to_string());

    // A wrong password is told of in words, without the password.
    let key = arm.configure(name, &properties(&protected(WRONG))).await?;
    arm.compliance(name, "the wrong password", |said| {
        said["messageLevel"] == "Error"
    })
    .await?;
    assert!(git.requests_with_credentials() > 0);
    shown.push(arm.show(name).await?.body.to_string());
    shown.push(serde_json::to_string(&world.status(&key).await?)?);

    // Put right in ARM, and so in the cluster.
    let put = arm.put(name, &properties(&protected(KEY))).await?;
    assert_eq!(put.status, StatusCode::OK);
    shown.push(put.body.to_string());
    arm.until(&key, "applied", applied(&commit)).await?;
    arm.compliance(name, "compliant", compliant(&commit))
        .await?;

    // A PUT of what GET gave, without the field: they are kept.
    let mut read = arm.show(name).await?.body["properties"].clone();
    assert_eq!(read["configurationProtectedSettings"], json!({}));
    if let Some(read) = read.as_object_mut() {
        read.remove("configurationProtectedSettings");
    }
    assert_eq!(arm.put(name, &read).await?.status, StatusCode::OK);
    let commit = repository.commit(&[("a.yaml", &map("a", "2"))], &[], "second")?;
    arm.until(&key, "applied", applied(&commit)).await?;

    shown.push(arm.show(name).await?.body.to_string());
    shown.push(arm.list().await?.body.to_string());
    for kind in [
        "sourcecontrolconfigurations,configmaps,serviceaccounts,roles,rolebindings",
        "events",
    ] {
        let objects = ["get", kind, "-n", namespace, "-o", "yaml"];
        let objects = [&objects[..], &["--show-managed-fields"]].concat();
        shown.push(world.kubectl(&objects).await?);
    }
    assert!(shown.iter().any(|text| text.contains("kind: RoleBinding")));
    for text in &shown {
        for canary in canaries() {
            assert!(!text.contains(&canary), "{canary}: {text}");
        }
    }
    assert!(!lines.lines().is_empty(), "the log is seen at all");
    assert_eq!(leaks.lines(), [""; 0]);
    Ok(())
}
