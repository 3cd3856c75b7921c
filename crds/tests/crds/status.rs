//! The status, and what `kubectl get` makes of it.

use std::time::Duration;

use gitmoor_crds::{
    Counts, Drift, MAX_DRIFTS, MAX_OBJECTS, MAX_PROBLEMS, ObjectState, Problem,
    SourceControlConfiguration, SourceControlConfigurationSpec, SourceControlConfigurationStatus,
    conditions, reasons,
};
use k8s_openapi::{
    apimachinery::pkg::apis::meta::v1::{Condition, Time},
    jiff::Timestamp,
};
use kube::{
    Api,
    api::{Patch, PatchParams, PostParams},
};
use serde_json::json;

use super::{cluster, kubectl, printed};

fn status() -> SourceControlConfigurationStatus {
    let now = Time(Timestamp::from_second(1_700_000_000).unwrap());
    SourceControlConfigurationStatus {
        observed_generation: Some(1),
        conditions: vec![Condition {
            type_: conditions::READY.to_owned(),
            status: "False".to_owned(),
            reason: reasons::PROBLEMS.to_owned(),
            message: "1 of 12 objects: see problems".to_owned(),
            last_transition_time: now.clone(),
            observed_generation: Some(1),
        }],
        attempted_revision: Some("0123456789abcdef0123456789abcdef01234567".to_owned()),
        applied_revision: Some("0123456789abcdef0123456789abcdef01234567".to_owned()),
        last_applied_time: Some(now.clone()),
        objects: Some(Counts {
            total: 12,
            changed: u32::MAX,
            pruned: 0,
            healed: 3,
            unhealthy: 0,
            problems: 1,
        }),
        inventory: vec![
            ObjectState {
                object: "Deployment.apps default/app".to_owned(),
                health: "InProgress".to_owned(),
                message: "app: 0 of 1 replica is there".to_owned(),
            };
            MAX_OBJECTS
        ],
        drifts: vec![
            Drift {
                object: "Deployment.apps default/app".to_owned(),
                time: now.clone(),
                deleted: true,
                manager: Some("kubectl-edit".to_owned()),
            };
            MAX_DRIFTS
        ],
        problems: vec![
            Problem {
                path: "deploy/app.yaml".to_owned(),
                line: Some(7),
                object: Some("Deployment.apps default/app".to_owned()),
                reason: "Invalid".to_owned(),
                message: "m".repeat(1000),
            };
            MAX_PROBLEMS
        ],
        problems_omitted: Some(1),
        ..SourceControlConfigurationStatus::default()
    }
}

#[tokio::test]
async fn a_full_status_comes_back_as_it_was_written() {
    let client = cluster().await.admin_client();
    let api: Api<SourceControlConfiguration> = Api::namespaced(client, "default");
    let spec = SourceControlConfigurationSpec::new("https://example.org/team/repository");
    let object = SourceControlConfiguration::new("status", spec.clone());
    let created = api.create(&PostParams::default(), &object).await.unwrap();
    assert_eq!(created.spec, spec);
    let patch = Patch::Merge(json!({"status": status(), "spec": {"suspend": true}}));
    let patched = api
        .patch_status("status", &PatchParams::default(), &patch)
        .await
        .unwrap();
    assert_eq!(patched.status, Some(status()));
    // By that way nothing else can be changed.
    assert_eq!(patched.spec, spec);
    assert_eq!(patched.metadata.generation, Some(1));
    let mut many = status();
    many.problems.push(many.problems[0].clone());
    let patch = Patch::Merge(json!({"status": many}));
    let refused = api
        .patch_status("status", &PatchParams::default(), &patch)
        .await;
    assert!(refused.unwrap_err().to_string().contains("status.problems"));
}

#[tokio::test]
async fn get_shows_whether_it_is_all_right() {
    let cluster = cluster().await;
    let api: Api<SourceControlConfiguration> = Api::namespaced(cluster.admin_client(), "default");
    let spec = SourceControlConfigurationSpec::new("https://example.org/team/repository");
    let object = SourceControlConfiguration::new("shown", spec);
    api.create(&PostParams::default(), &object).await.unwrap();
    let patch = Patch::Merge(json!({"status": status()}));
    api.patch_status("shown", &PatchParams::default(), &patch)
        .await
        .unwrap();
    let get = async |more: &[&str]| {
        let arguments = [&["get", "scc", "shown"], more].concat();
        printed(&kubectl(cluster, &arguments, "").await).unwrap()
    };
    let narrow = get(&[]).await;
    let lines: Vec<&str> = narrow.lines().collect();
    let words = |line: &str| {
        line.split_whitespace()
            .map(str::to_owned)
            .collect::<Vec<_>>()
    };
    assert_eq!(
        words(lines[0]),
        [
            "NAME", "READY", "STATUS", "REVISION", "OBJECTS", "PROBLEMS", "AGE"
        ]
    );
    assert!(
        lines[1].starts_with("shown   False   1 of 12 objects: see problems"),
        "{narrow}"
    );
    assert!(
        lines[1].contains("0123456789abcdef0123456789abcdef01234567   12        1"),
        "{narrow}"
    );
    let wide = get(&["-o", "wide"]).await;
    assert!(
        wide.contains("https://example.org/team/repository"),
        "{wide}"
    );
    assert!(wide.contains("namespace"), "{wide}");
}

#[tokio::test]
async fn kubectl_waits_for_it_to_be_ready() {
    let cluster = cluster().await;
    let api: Api<SourceControlConfiguration> = Api::namespaced(cluster.admin_client(), "default");
    let spec = SourceControlConfigurationSpec::new("https://example.org/team/repository");
    let object = SourceControlConfiguration::new("awaited", spec);
    api.create(&PostParams::default(), &object).await.unwrap();
    let arguments = [
        "wait",
        "scc/awaited",
        "--for=condition=Ready",
        "--timeout=60s",
    ];
    let waiting = kubectl(cluster, &arguments, "");
    let patch = async {
        let mut ready = status();
        ready.conditions[0].status = "True".to_owned();
        let patch = Patch::Merge(json!({"status": ready}));
        api.patch_status("awaited", &PatchParams::default(), &patch)
            .await
            .unwrap();
    };
    let (output, ()) = tokio::join!(
        tokio::time::timeout(Duration::from_secs(90), waiting),
        patch
    );
    printed(&output.unwrap()).unwrap();
}
