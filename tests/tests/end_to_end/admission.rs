//! Admission: a webhook that is down delays the objects that it must be asked about and no others,
//! and what admission makes of an object is no reason to write it again.

use anyhow::{Context as _, Result, ensure};
use gitmoor_tests::{World, condition, world};

async fn kubectl_apply(world: &World, text: &str) -> Result<()> {
    let file = tempfile::NamedTempFile::new()?;
    std::fs::write(file.path(), text)?;
    let path = file.path().display().to_string();
    world.kubectl(&["apply", "-f", &path]).await?;
    Ok(())
}

fn map(name: &str, labels: &str) -> String {
    format!(
        "apiVersion: v1\nkind: ConfigMap\nmetadata: {{name: {name}, labels: {labels}}}\ndata: {{colour: blue, shape: round}}\n"
    )
}

#[tokio::test(flavor = "multi_thread")]
async fn a_webhook_that_is_down_delays_its_objects_and_no_others() -> Result<()> {
    let world = world().await;
    let namespace = world.namespace("webhook").await?;
    // Nobody listens on port 1.
    let webhook = format!(
        "
apiVersion: admissionregistration.k8s.io/v1
kind: ValidatingWebhookConfiguration
metadata: {{name: {namespace}}}
webhooks:
- name: down.example.org
  admissionReviewVersions: [v1]
  sideEffects: None
  failurePolicy: Fail
  timeoutSeconds: 1
  clientConfig: {{url: 'https://127.0.0.1:1/validate'}}
  namespaceSelector: {{matchLabels: {{kubernetes.io/metadata.name: {namespace}}}}}
  objectSelector: {{matchLabels: {{guarded: 'yes'}}}}
  rules:
  - {{apiGroups: [''], apiVersions: [v1], operations: [CREATE, UPDATE], resources: [configmaps]}}
"
    );
    kubectl_apply(world, &webhook).await?;
    let probe = tempfile::NamedTempFile::new()?;
    std::fs::write(probe.path(), map("probe", "{guarded: 'yes'}"))?;
    let path = probe.path().display().to_string();
    world
        .eventually("the webhook is asked", || async {
            let create = ["-n", &namespace, "create", "--dry-run=server", "-f", &path];
            Ok(world.kubectl(&create).await.is_err())
        })
        .await?;

    let guarded = map("guarded", "{guarded: 'yes'}");
    let others: Vec<_> = (0..20)
        .map(|number| {
            let name = format!("other-{number}");
            (format!("{name}.yaml"), map(&name, "{}"))
        })
        .collect();
    let mut files: Vec<_> = others
        .iter()
        .map(|(path, text)| (path.as_str(), text.as_str()))
        .collect();
    files.push(("guarded.yaml", &guarded));
    let repository = world.repository(&namespace, &files).await?;
    let key = world
        .follow(&namespace, "shop", world.spec(&namespace))
        .await?;
    let status = world.synced(&key, &repository.head()?).await?;
    let [problem] = &status.problems[..] else {
        anyhow::bail!("{status:#?}");
    };
    ensure!(
        problem.path == "guarded.yaml" && problem.reason == "Unanswered",
        "{problem:#?}"
    );
    ensure!(problem.message.contains("webhook"), "{problem:#?}");
    ensure!(world.applied_config_maps(&namespace).await?.len() == 20);

    // It needs no commit and nobody's hand.
    world
        .kubectl(&["delete", "validatingwebhookconfiguration", &namespace])
        .await?;
    let status = world
        .until(&key, "ready", |status| {
            condition(status, "Ready").is_some_and(|ready| ready.0 == "True")
        })
        .await?;
    ensure!(status.problems.is_empty(), "{status:#?}");
    ensure!(world.applied_config_maps(&namespace).await?.len() == 21);
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn what_admission_changes_or_adds_is_not_written_again() -> Result<()> {
    let world = world().await;
    let namespace = world.namespace("mutated").await?;
    let policy = format!(
        "
apiVersion: admissionregistration.k8s.io/v1
kind: MutatingAdmissionPolicy
metadata: {{name: {namespace}}}
spec:
  matchConstraints:
    namespaceSelector: {{matchLabels: {{kubernetes.io/metadata.name: {namespace}}}}}
    objectSelector: {{matchLabels: {{mutated: 'yes'}}}}
    resourceRules:
    - {{apiGroups: [''], apiVersions: [v1], operations: [CREATE, UPDATE], resources: [configmaps]}}
  failurePolicy: Fail
  reinvocationPolicy: Never
  mutations:
  - patchType: ApplyConfiguration
    applyConfiguration:
      expression: 'Object{{data: {{\"colour\": \"red\", \"added\": \"by admission\"}}}}'
---
apiVersion: admissionregistration.k8s.io/v1
kind: MutatingAdmissionPolicyBinding
metadata: {{name: {namespace}}}
spec: {{policyName: {namespace}}}
"
    );
    kubectl_apply(world, &policy).await?;
    let probe = tempfile::NamedTempFile::new()?;
    std::fs::write(probe.path(), map("probe", "{mutated: 'yes'}"))?;
    let path = probe.path().display().to_string();
    world
        .eventually("the policy is in force", || async {
            let create = ["create", "--dry-run=server", "-o", "yaml", "-f", &path];
            let created = world
                .kubectl(&[&["-n", &namespace][..], &create].concat())
                .await?;
            Ok(created.contains("by admission"))
        })
        .await?;

    let mutated = map("mutated", "{mutated: 'yes'}");
    let files = [("mutated.yaml", mutated.as_str())];
    let repository = world.repository(&namespace, &files).await?;
    let key = world
        .follow(&namespace, "shop", world.spec(&namespace))
        .await?;
    let status = world.synced(&key, &repository.head()?).await?;
    ensure!(status.problems.is_empty(), "{status:#?}");
    let data = world.config_map(&namespace, "mutated").await?;
    let data = data.context("it is applied")?;
    ensure!(
        data["colour"] == "red" && data["added"] == "by admission" && data["shape"] == "round",
        "{data:?}"
    );

    let mark = world.mark()?;
    let again = repository.commit(&[("NOTES", "no object")], &[], "again")?;
    world.synced(&key, &again).await?;
    let requests = world.requests_about_objects(&namespace, mark).await?;
    ensure!(requests.is_empty(), "{requests:#?}");

    // What nobody but us may change is healed all the same, once.
    let mark = world.mark()?;
    let patch = ["patch", "configmap", "mutated", "--type=merge", "-p"];
    let square = [r#"{"data": {"shape": "square"}}"#];
    world
        .kubectl(&[&["-n", &namespace][..], &patch, &square].concat())
        .await?;
    world
        .eventually("it is round again", || async {
            let data = world.config_map(&namespace, "mutated").await?;
            Ok(data.is_some_and(|data| data["shape"] == "round"))
        })
        .await?;
    let last = repository.commit(&[("NOTES", "still none")], &[], "last")?;
    world.synced(&key, &last).await?;
    let requests = world.requests_about_objects(&namespace, mark).await?;
    ensure!(requests.len() == 1, "{requests:#?}");
    for kind in ["mutatingadmissionpolicybinding", "mutatingadmissionpolicy"] {
        world.kubectl(&["delete", kind, &namespace]).await?;
    }
    Ok(())
}
