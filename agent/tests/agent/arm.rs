//! From ARM to resources, and back with their status.

use std::time::Duration;

use gitmoor_agent::Settings;
use gitmoor_crds::{Scope, SourceControlConfiguration};
use k8s_openapi::api::{
    apps::v1::Deployment,
    core::v1::{Namespace, Secret, ServiceAccount},
};
use kube::{
    Api, ResourceExt as _,
    api::{DeleteParams, Patch, PatchParams},
};
use serde_json::{Value, json};
use tokio::time::sleep;

use crate::{
    server::{CLUSTER, Fault, Server},
    support::{AGENT, Ground, SYSTEM, eventually},
};

/// Operators as Deployments, of which no pod ever runs here: so the status is the test's.
fn settings(server: &Server) -> Settings {
    Settings {
        arm: Some(server.settings()),
        ..Settings::default()
    }
}

fn properties(namespace: &str, more: &Value) -> Value {
    let mut properties = json!({
        "repositoryUrl": "https://git.example.net/blue/deploy.git",
        "operatorNamespace": namespace,
        "operatorScope": "namespace",
        "operatorType": "Flux",
        "operatorParams": "--git-readonly",
        "configurationProtectedSettings": {},
    });
    for (name, value) in more.as_object().unwrap() {
        properties[name] = value.clone();
    }
    properties
}

async fn wait(ground: &Ground, namespace: &str, name: &str) -> SourceControlConfiguration {
    ground.wait(namespace, name).await
}

/// Waits until ARM was asked so many times more.
async fn lists(server: &Server, more: usize) {
    let now = server.said().lists;
    eventually("ARM is asked", || async {
        server.said().lists >= now + more
    })
    .await;
}

/// The last report on a configuration.
fn report(server: &Server, name: &str) -> Value {
    let said = server.said();
    let last = said.reports.iter().rev().find(|(of, _)| of == name);
    last.map(|(_, report)| report.clone()).unwrap_or_default()
}

#[tokio::test]
async fn an_idle_agent_asks_about_once_a_minute() {
    let ground = Ground::new().await;
    let server = Server::start().await;
    server.put("blue", &properties("arm-idle", &json!({})));
    server.said().version = Some("\"1\"");
    // It polls every second where nobody lets it wait.
    let agent = ground.agent(settings(&server)).await;
    for (waits, version) in [(1, "\"2\""), (2, "\"3\"")] {
        eventually("it waits for news", || async {
            server.said().waits.len() == waits
        })
        .await;
        // While it waits it asks for nothing else.
        sleep(Duration::from_secs(3)).await;
        let mut said = server.said();
        assert_eq!((said.lists, said.waits.len()), (waits + 1, waits));
        assert_eq!(said.waits.last().unwrap(), "wait=55");
        said.version = Some(version);
    }
    agent.stop().await;
}

#[tokio::test]
async fn a_configuration_of_arm_comes_with_namespace_and_credentials_and_goes() {
    let ground = Ground::new().await;
    let server = Server::start().await;
    let more = json!({
        "operatorParams": "--git-readonly --git-branch=main --git-path=a,b --git-poll-interval=90s --sync-garbage-collection",
        "configurationProtectedSettings": {"httpsUser": "Ym90", "httpsKey": "czNjcjN0"},
    });
    server.put("blue", &properties("arm-blue", &more));
    let agent = ground.agent(settings(&server)).await;

    let made = wait(&ground, "arm-blue", "blue").await;
    let spec = &made.spec;
    assert_eq!(spec.repository, "https://git.example.net/blue/deploy.git");
    assert_eq!(spec.reference.branch.as_deref(), Some("main"));
    assert_eq!(spec.paths, ["a", "b"]);
    assert_eq!(spec.interval.0, Duration::from_secs(90));
    assert_eq!((spec.scope, spec.prune), (Scope::Namespace, true));
    assert_eq!(made.labels()["gitmoor.io/source"], "arm");
    assert!(made.annotations()["gitmoor.io/arm-id"].starts_with(CLUSTER));
    let name = &spec.credentials.as_ref().unwrap().secret_name;
    eventually("the secret is owned", || async {
        let secret: Secret = ground.wait("arm-blue", name).await;
        secret
            .owner_references()
            .iter()
            .any(|owner| Some(&owner.uid) == made.uid().as_ref())
    })
    .await;
    let secret: Secret = ground.wait("arm-blue", name).await;
    let data = secret.data.unwrap();
    assert_eq!(data["username"].0, b"bot");
    assert_eq!(data["password"].0, b"s3cr3t");
    let _: Deployment = ground.wait("arm-blue", "gitmoor-operator").await;

    // New credentials, then none.
    let more = json!({"configurationProtectedSettings": {"httpsUser": "Ym90", "httpsKey": "bmV3"}});
    server.put("blue", &properties("arm-blue", &more));
    eventually("the new key is there", || async {
        let secret: Secret = ground.wait("arm-blue", name).await;
        secret
            .data
            .unwrap_or_default()
            .get("password")
            .is_some_and(|key| key.0 == b"new")
    })
    .await;
    server.put("blue", &properties("arm-blue", &json!({})));
    eventually("no credentials are left", || async {
        let secret: Secret = ground.wait("arm-blue", name).await;
        let made = wait(&ground, "arm-blue", "blue").await;
        secret.data.unwrap_or_default().is_empty() && made.spec.credentials.is_none()
    })
    .await;
    let made = wait(&ground, "arm-blue", "blue").await;
    assert!(!made.spec.prune, "without --sync-garbage-collection");

    server.put("green", &properties("arm-green", &json!({})));
    let _ = wait(&ground, "arm-green", "green").await;
    server.said().configurations.remove("blue");
    eventually(
        "it is gone, and so is its secret and its operator",
        || async {
            ground
                .find::<SourceControlConfiguration>("arm-blue", "blue")
                .await
                .is_none()
                && ground.find::<Secret>("arm-blue", name).await.is_none()
                && ground
                    .find::<ServiceAccount>("arm-blue", "gitmoor-operator")
                    .await
                    .is_none()
        },
    )
    .await;
    assert!(
        ground
            .find::<SourceControlConfiguration>("arm-green", "green")
            .await
            .is_some()
    );
    let namespaces: Api<Namespace> = Api::all(ground.admin.clone());
    assert!(
        namespaces
            .get("arm-blue")
            .await
            .unwrap()
            .metadata
            .deletion_timestamp
            .is_none()
    );
    agent.stop().await;
}

#[tokio::test]
async fn a_configuration_is_suspended_and_its_sync_requested_from_arm() {
    let ground = Ground::new().await;
    let server = Server::start().await;
    let put = |flags: &str| {
        let more = json!({"operatorParams": flags});
        server.put("blue", &properties("arm-still", &more));
    };
    put("--gitmoor-suspend");
    let agent = ground.agent(settings(&server)).await;
    let made = wait(&ground, "arm-still", "blue").await;
    assert!(made.spec.suspend);
    for moment in ["2026-11-24T05:00:00Z", "2026-11-24T06:00:00Z"] {
        put(&format!("--gitmoor-requested-at={moment}"));
        eventually("it is asked for", || async {
            let live = wait(&ground, "arm-still", "blue").await;
            let asked = live.annotations().get("gitmoor.io/requested-at");
            !live.spec.suspend && asked.is_some_and(|at| at == moment)
        })
        .await;
    }
    put("--gitmoor-confirm-prune=8e1f0c7a");
    eventually("its deletions are confirmed", || async {
        let live = wait(&ground, "arm-still", "blue").await;
        let confirmed = live.annotations().get("gitmoor.io/confirm-prune");
        confirmed.is_some_and(|commit| commit == "8e1f0c7a")
    })
    .await;
    agent.stop().await;
}

#[tokio::test]
async fn the_credentials_of_a_cluster_wide_operator_stay_out_of_its_namespace() {
    let ground = Ground::new().await;
    let server = Server::start().await;
    let more = json!({
        "operatorScope": "cluster",
        "configurationProtectedSettings": {"httpsUser": "Ym90", "httpsKey": "czNjcjN0"},
    });
    server.put("wide", &properties("arm-wide", &more));
    server.put("other", &properties("arm-wide", &json!({})));
    let agent = ground.agent(settings(&server)).await;
    let made = wait(&ground, "arm-wide", "wide").await;
    let name = made.spec.credentials.unwrap().secret_name;
    let _: Secret = ground.wait(SYSTEM, &name).await;
    assert!(ground.find::<Secret>("arm-wide", &name).await.is_none());
    // Of scope cluster, and allowed because it came from ARM.
    let _: ServiceAccount = ground.wait(SYSTEM, "gitmoor-operator-arm-wide").await;
    server.said().configurations.remove("wide");
    eventually(
        "it is gone, and so is its secret and its operator",
        || async {
            ground
                .find::<SourceControlConfiguration>("arm-wide", "wide")
                .await
                .is_none()
                && ground.find::<Secret>(SYSTEM, &name).await.is_none()
                && ground
                    .find::<ServiceAccount>(SYSTEM, "gitmoor-operator-arm-wide")
                    .await
                    .is_none()
        },
    )
    .await;
    agent.stop().await;
}

#[tokio::test]
async fn a_list_that_is_not_whole_deletes_nothing_and_recovery_needs_no_hand() {
    let ground = Ground::new().await;
    let server = Server::start().await;
    server.put("kept", &properties("arm-kept", &json!({})));
    let agent = ground.agent(settings(&server)).await;
    let made = wait(&ground, "arm-kept", "kept").await;
    let faults = [
        Fault::Status(500),
        Fault::Status(404),
        Fault::RetryAfter(3),
        Fault::Truncated,
        Fault::SecondPageFails,
    ];
    for (round, fault) in faults.into_iter().enumerate() {
        let before = {
            let mut said = server.said();
            said.faults = [fault].into();
            said.listed_at.len()
        };
        eventually("the fault was met", || async {
            server.said().faults.is_empty()
        })
        .await;
        let name = format!("new-{round}");
        server.put(&name, &properties("arm-kept", &json!({})));
        let _ = wait(&ground, "arm-kept", &name).await;
        let now = wait(&ground, "arm-kept", "kept").await;
        assert_eq!(now.uid(), made.uid(), "{fault:?}");
        assert!(now.metadata.deletion_timestamp.is_none(), "{fault:?}");
        if let Fault::RetryAfter(seconds) = fault {
            let at = server.said().listed_at[before..].to_vec();
            let waited = at[1] - at[0];
            assert!(waited >= Duration::from_secs(seconds), "{waited:?}");
        }
    }
    agent.stop().await;
}

#[tokio::test]
async fn an_empty_list_is_believed_when_it_comes_twice() {
    let ground = Ground::new().await;
    let server = Server::start().await;
    server.put("kept", &properties("arm-empty", &json!({})));
    let agent = ground.agent(settings(&server)).await;
    let made = wait(&ground, "arm-empty", "kept").await;
    server.said().faults = [Fault::Empty].into();
    lists(&server, 3).await;
    assert_eq!(wait(&ground, "arm-empty", "kept").await.uid(), made.uid());
    server.said().configurations.clear();
    eventually("it is gone", || async {
        ground
            .find::<SourceControlConfiguration>("arm-empty", "kept")
            .await
            .is_none()
    })
    .await;
    agent.stop().await;
}

#[tokio::test]
async fn a_wrong_configuration_is_reported_with_all_its_faults_and_holds_nobody_back() {
    let ground = Ground::new().await;
    let server = Server::start().await;
    ground.namespace("arm-wrong").await;
    ground.create("arm-wrong", "taken", Scope::Namespace).await;
    let wrong = json!({
        "repositoryUrl": "ftp://git.example.net/x",
        "operatorParams": "--git-branch=main --no-such-flag=1",
    });
    server.put("changed", &properties("arm-wrong", &json!({})));
    let agent = ground.agent(settings(&server)).await;
    let before = wait(&ground, "arm-wrong", "changed").await;
    server.put("changed", &properties("arm-wrong", &wrong));
    server.put("wrong", &properties("arm-wrong", &wrong));
    server.put("taken", &properties("arm-wrong", &json!({})));
    server.put("system", &properties("kube-system", &json!({})));
    server.put("good", &properties("arm-wrong", &json!({})));
    let _ = wait(&ground, "arm-wrong", "good").await;
    for name in ["changed", "wrong", "taken", "system"] {
        eventually(name, || async {
            report(&server, name)["complianceState"] == "Failed"
        })
        .await;
    }
    let text = report(&server, "wrong")["message"]
        .as_str()
        .unwrap()
        .to_owned();
    assert!(
        text.contains("repositoryUrl") && text.contains("--no-such-flag"),
        "{text}"
    );
    let text = report(&server, "taken")["message"]
        .as_str()
        .unwrap()
        .to_owned();
    assert!(
        text.contains("arm-wrong/taken that did not come from here"),
        "{text}"
    );
    let taken = wait(&ground, "arm-wrong", "taken").await;
    assert!(taken.labels().is_empty());
    assert_eq!(taken.metadata.generation, Some(1));
    let after = wait(&ground, "arm-wrong", "changed").await;
    assert_eq!(after.spec, before.spec, "what was right of it stays");
    assert!(
        ground
            .find::<SourceControlConfiguration>("kube-system", "system")
            .await
            .is_none()
    );

    // Put right, it is taken over.
    let right = json!({"operatorParams": "--git-branch=main"});
    server.put("changed", &properties("arm-wrong", &right));
    eventually("the branch is there", || async {
        let now = wait(&ground, "arm-wrong", "changed").await;
        now.spec.reference.branch.as_deref() == Some("main")
    })
    .await;
    agent.stop().await;
}

#[tokio::test]
async fn what_people_change_of_arms_is_put_right_and_what_they_add_is_left_alone() {
    let ground = Ground::new().await;
    let server = Server::start().await;
    server.put("edited", &properties("arm-edited", &json!({})));
    let agent = ground.agent(settings(&server)).await;
    let made = wait(&ground, "arm-edited", "edited").await;
    let api = ground.configurations("arm-edited");
    let edit = json!({"spec": {
        "repository": "https://git.example.net/evil/deploy.git",
        "credentials": {"secretName": "mine"},
        "reference": {"branch": "mine"},
    }});
    api.patch("edited", &PatchParams::default(), &Patch::Merge(edit))
        .await
        .unwrap();
    eventually("the repository is ARM's again", || async {
        wait(&ground, "arm-edited", "edited").await.spec.repository == made.spec.repository
    })
    .await;
    let now = wait(&ground, "arm-edited", "edited").await;
    assert_eq!(now.spec.credentials.unwrap().secret_name, "mine");

    // The branch, which ARM does not name, is someone else's: no endless quarrel.
    lists(&server, 2).await;
    let still = ground.cluster.audit().mark().unwrap();
    lists(&server, 3).await;
    let asked = ground.asked(AGENT, still).await;
    assert!(asked.is_empty(), "{asked:#?}");

    // Deleted by hand, it comes again.
    api.delete("edited", &DeleteParams::default())
        .await
        .unwrap();
    eventually("it is back", || async {
        let now: Option<SourceControlConfiguration> = ground.find("arm-edited", "edited").await;
        now.is_some_and(|now| now.uid() != made.uid())
    })
    .await;
    agent.stop().await;
}

#[tokio::test]
async fn polls_that_bring_nothing_new_cost_the_cluster_nothing() {
    let ground = Ground::new().await;
    let server = Server::start().await;
    let secret =
        json!({"configurationProtectedSettings": {"httpsUser": "Ym90", "httpsKey": "czNjcjN0"}});
    for name in ["one", "two"] {
        server.put(name, &properties("arm-still", &secret));
    }
    let agent = ground.agent(settings(&server)).await;
    for name in ["one", "two"] {
        let _ = wait(&ground, "arm-still", name).await;
        eventually("it is reported", || async {
            !report(&server, name).is_null()
        })
        .await;
    }
    let _: Deployment = ground.wait("arm-still", "gitmoor-operator").await;
    lists(&server, 2).await;
    let still = ground.cluster.audit().mark().unwrap();
    let reports = server.said().reports.len();
    lists(&server, 5).await;
    let asked = ground.asked(AGENT, still).await;
    assert!(asked.is_empty(), "{asked:#?}");
    assert_eq!(server.said().reports.len(), reports);

    // What ARM says of a configuration is not what it asks for.
    let still = ground.cluster.audit().mark().unwrap();
    server.said().is_restless = true;
    lists(&server, 5).await;
    let asked = ground.asked(AGENT, still).await;
    assert!(asked.is_empty(), "{asked:#?}");
    // Whoever reads the version sees whose status it is.
    eventually("it is reported of the new version", || async {
        let etag = report(&server, "one")["observedEtag"].clone();
        etag.as_str().is_some_and(|etag| etag.contains("restless"))
    })
    .await;
    agent.stop().await;
}

#[tokio::test]
async fn what_the_operator_says_arrives_in_arms_words() {
    let ground = Ground::new().await;
    let server = Server::start().await;
    server.put("told", &properties("arm-told", &json!({})));
    let agent = ground.agent(settings(&server)).await;
    let made = wait(&ground, "arm-told", "told").await;
    eventually("pending at first", || async {
        report(&server, "told")["complianceState"] == "Pending"
    })
    .await;
    let api = ground.configurations("arm-told");
    let say = async |ready: &str, problems: Value| {
        let now = "2026-01-02T03:04:05Z";
        let status = json!({"status": {
            "observedGeneration": made.metadata.generation,
            "conditions": [{
                "type": "Ready", "status": ready, "reason": "Said", "message": "as the test says",
                "lastTransitionTime": now, "observedGeneration": made.metadata.generation,
            }],
            "attemptedRevision": "aaaa", "appliedRevision": "bbbb", "lastAppliedTime": now,
            "objects": {"total": 3, "changed": 2, "pruned": 1, "healed": 0, "problems": 1},
            "problems": problems,
        }});
        api.patch_status("told", &PatchParams::default(), &Patch::Merge(status))
            .await
            .unwrap();
    };
    say(
        "False",
        json!([{"path": "a.yaml", "line": 7, "reason": "InvalidYaml", "message": "wrong"}]),
    )
    .await;
    eventually("noncompliant", || async {
        report(&server, "told")["complianceState"] == "Noncompliant"
    })
    .await;
    let said = report(&server, "told");
    assert_eq!(said["messageLevel"], "Error");
    assert_eq!(said["message"], "as the test says");
    assert_eq!(said["problems"][0]["path"], "a.yaml");
    assert_eq!(said["problems"][0]["line"], 7);
    assert_eq!(said["objects"]["total"], 3);
    assert_eq!(
        (&said["attemptedRevision"], &said["appliedRevision"]),
        (&json!("aaaa"), &json!("bbbb"))
    );
    assert_eq!(said["lastConfigApplied"], "2026-01-02T03:04:05+00:00");
    assert_eq!(
        said["observedEtag"],
        server.said().configurations["told"]["etag"]
    );
    say("True", json!([])).await;
    eventually("compliant", || async {
        report(&server, "told")["complianceState"] == "Compliant"
    })
    .await;

    // A new version: what the operator said of the old one is not passed off as of this one.
    let more = json!({"operatorParams": "--git-branch=next"});
    server.put("told", &properties("arm-told", &more));
    eventually("pending again", || async {
        let said = report(&server, "told");
        said["complianceState"] == "Pending"
            && said["observedEtag"] == server.said().configurations["told"]["etag"]
    })
    .await;
    let etag = server.said().configurations["told"]["etag"].clone();
    let early = server.said().reports.iter().any(|(_, report)| {
        report["observedEtag"] == etag && report["complianceState"] != "Pending"
    });
    assert!(!early, "{:#?}", server.said().reports);
    agent.stop().await;
}

#[tokio::test]
async fn a_status_that_nobody_took_is_delivered_later_and_the_newest_alone() {
    let ground = Ground::new().await;
    let server = Server::start().await;
    server.put("late", &properties("arm-late", &json!({})));
    let agent = ground.agent(settings(&server)).await;
    let made = wait(&ground, "arm-late", "late").await;
    eventually("pending at first", || async {
        report(&server, "late")["complianceState"] == "Pending"
    })
    .await;
    server.said().refuses_reports = true;
    let told = server.said().reports.len();
    let api = ground.configurations("arm-late");
    for commit in ["aaaa", "bbbb", "cccc"] {
        let status = json!({"status": {
            "observedGeneration": made.metadata.generation, "attemptedRevision": commit,
        }});
        api.patch_status("late", &PatchParams::default(), &Patch::Merge(status))
            .await
            .unwrap();
        if commit != "bbbb" {
            eventually("it is refused", || async {
                let said = server.said();
                let mut refused = said.refused_reports.iter();
                refused.any(|report| report["attemptedRevision"] == commit)
            })
            .await;
        }
    }
    server.said().refuses_reports = false;
    eventually("the newest is there", || async {
        report(&server, "late")["attemptedRevision"] == "cccc"
    })
    .await;
    let later: Vec<Value> = server.said().reports[told..]
        .iter()
        .map(|(_, report)| report["attemptedRevision"].clone())
        .collect();
    assert!(later.iter().all(|commit| *commit == "cccc"), "{later:?}");
    agent.stop().await;
}

#[tokio::test]
async fn a_report_comes_no_sooner_than_the_portal_asks_for() {
    let ground = Ground::new().await;
    let server = Server::start().await;
    server.put("later", &properties("arm-later", &json!({})));
    {
        let mut said = server.said();
        said.refuses_reports = true;
        said.report_after = Some(4);
    }
    let agent = ground.agent(settings(&server)).await;
    eventually("it is refused twice", || async {
        server.said().refused_at.len() >= 2
    })
    .await;
    let at = server.said().refused_at.clone();
    let waited = at[1] - at[0];
    assert!(waited >= Duration::from_secs(4), "{waited:?}");
    agent.stop().await;
}
