//! What a Secret holds is applied, and told nowhere: not when it is refused, by whomever, not when it
//! drifts, not when somebody fights for it.

use std::time::Duration;

use anyhow::{Result, ensure};
use gitmoor_crds::Heal;
use gitmoor_tests::{condition, logs, world};
use kube::api::{Patch, PatchParams};
use serde_json::json;

/// What is planted, and its base64.
const PLANTED: [&str; 2] = ["canary-b71e", "Y2FuYXJ5LWI3MWU"];

const FILES: [(&str, &str); 8] = [
    (
        "good.yaml",
        "apiVersion: v1\nkind: Secret\nmetadata: {name: good}\nstringData: {key: canary-b71e}\n",
    ),
    (
        "no-base64.yaml",
        "apiVersion: v1\nkind: Secret\nmetadata: {name: no-base64}\ndata: {key: canary-b71e}\n",
    ),
    (
        "map.yaml",
        "apiVersion: v1\nkind: Secret\nmetadata: {name: map}\ndata: {key: {deep: canary-b71e}}\n",
    ),
    (
        "list.yaml",
        "apiVersion: v1\nkind: Secret\nmetadata: {name: list}\nstringData: {key: [canary-b71e]}\n",
    ),
    (
        "field.yaml",
        "apiVersion: v1\nkind: Secret\nmetadata: {name: field}\npassword: canary-b71e\n",
    ),
    (
        "key.yaml",
        "apiVersion: v1\nkind: Secret\nmetadata: {name: key}\ndata: {'no key': Y2FuYXJ5LWI3MWU=}\n",
    ),
    (
        "type.yaml",
        "apiVersion: v1\nkind: Secret\nmetadata: {name: type}\ntype: kubernetes.io/dockerconfigjson\nstringData: {.dockerconfigjson: 'canary-b71e {'}\n",
    ),
    (
        "policy.yaml",
        "apiVersion: v1\nkind: Secret\nmetadata: {name: policy, labels: {quoted: 'yes'}}\nstringData: {key: canary-b71e}\n",
    ),
];

/// A policy that quotes what it refuses, as people write them.
const POLICY: &str = "
apiVersion: admissionregistration.k8s.io/v1
kind: ValidatingAdmissionPolicy
metadata: {name: quotes-secrets}
spec:
  matchConstraints:
    resourceRules:
    - {apiGroups: [''], apiVersions: [v1], operations: [CREATE, UPDATE], resources: [secrets]}
  matchConditions:
  - {name: quoted, expression: 'has(object.metadata.labels) && \"quoted\" in object.metadata.labels'}
  validations:
  - {expression: 'false', reason: Forbidden, messageExpression: '\"not allowed: \" + string(object.data.key)'}
---
apiVersion: admissionregistration.k8s.io/v1
kind: ValidatingAdmissionPolicyBinding
metadata: {name: quotes-secrets}
spec: {policyName: quotes-secrets, validationActions: [Deny]}
";

#[tokio::test(flavor = "multi_thread")]
async fn what_a_secret_holds_is_told_nowhere() -> Result<()> {
    let leaks = logs::watch(&PLANTED.map(str::to_owned));
    let world = world().await;
    let namespace = world.namespace("secrets").await?;
    let lines = logs::watch(std::slice::from_ref(&namespace));
    let policy = tempfile::tempdir()?;
    let path = policy.path().join("policy.yaml");
    std::fs::write(&path, POLICY)?;
    let path = path.display().to_string();
    world.kubectl(&["apply", "-f", &path]).await?;
    // The API server takes a moment to heed it.
    let probe = policy.path().join("probe.yaml");
    std::fs::write(&probe, FILES[7].1)?;
    let probe = probe.display().to_string();
    world
        .eventually("the policy is in force", || async {
            let create = ["-n", &namespace, "create", "--dry-run=server", "-f", &probe];
            let result = world.kubectl(&create).await;
            Ok(result.is_err_and(|error| format!("{error:#}").contains("not allowed")))
        })
        .await?;

    let repository = world.repository(&namespace, &FILES).await?;
    let mut spec = world.spec(&namespace);
    spec.heal = Heal::Detect;
    let key = world.follow(&namespace, "shop", spec).await?;
    let status = world.synced(&key, &repository.head()?).await?;
    for (path, _) in &FILES[1..] {
        let mut problems = status.problems.iter();
        let problem = problems.find(|one| one.path == *path);
        ensure!(
            problem.is_some_and(|one| one.message.contains("Secret")),
            "{path}: {status:#?}"
        );
    }
    // Which field it is can be said.
    let wrong = status.problems.iter().find(|one| one.path == "map.yaml");
    ensure!(
        wrong.is_some_and(|one| one.message.contains(".data.key")),
        "{status:#?}"
    );
    let mut shown = vec![serde_json::to_string(&status)?];

    // Drift, shown and then fought for.
    let secrets = world.objects("v1", "Secret", "secrets", &namespace);
    let other = json!({"stringData": {"key": "canary-b71e, changed", "more": "canary-b71e"}});
    let parameters = PatchParams::default();
    secrets
        .patch("good", &parameters, &Patch::Merge(&other))
        .await?;
    let status = world
        .until(&key, "shown", |status| {
            status.problems.iter().any(|one| one.reason == "Drift")
        })
        .await?;
    shown.push(serde_json::to_string(&status)?);
    let enforce = json!({"spec": {"heal": "enforce"}});
    world
        .configurations(&namespace)
        .patch("shop", &PatchParams::default(), &Patch::Merge(&enforce))
        .await?;
    for _ in 0..6 {
        world
            .eventually("it is as declared, or fought for", || async {
                let data = &secrets.get("good").await?.data["data"]["key"];
                let status = world.status(&key).await?;
                let fight = status.problems.iter().any(|one| one.reason == "Fight");
                Ok(fight || data == "Y2FuYXJ5LWI3MWU=")
            })
            .await?;
        secrets
            .patch("good", &parameters, &Patch::Merge(&other))
            .await?;
    }
    let status = world
        .until(&key, "a fight", |status| {
            status.problems.iter().any(|one| one.reason == "Fight")
        })
        .await?;
    shown.push(serde_json::to_string(&status)?);
    ensure!(condition(&status, "Ready").is_some());
    // Events are written beside everything else.
    world
        .eventually("there are events", || async {
            let events = [
                "-n",
                &namespace,
                "get",
                "events.v1.events.k8s.io",
                "-o",
                "name",
            ];
            Ok(world.kubectl(&events).await?.lines().count() >= 3)
        })
        .await?;
    tokio::time::sleep(Duration::from_secs(1)).await;
    for kind in [
        "sourcecontrolconfigurations,configmaps,serviceaccounts",
        "events.v1.events.k8s.io",
    ] {
        let objects = ["get", kind, "-n", &namespace, "-o", "yaml"];
        let objects = [&objects[..], &["--show-managed-fields"]].concat();
        shown.push(world.kubectl(&objects).await?);
    }
    for text in &shown {
        for planted in PLANTED {
            ensure!(!text.contains(planted), "{planted}: {text}");
        }
    }
    ensure!(!lines.lines().is_empty(), "the log is seen at all");
    ensure!(leaks.lines().is_empty(), "{:#?}", leaks.lines());
    world.kubectl(&["delete", "-f", &path]).await?;
    Ok(())
}
