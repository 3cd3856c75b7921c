//! Flux configurations: what is put, patched, shown, and what the agents see of it.

use gitmoor_portal::identity::Role;
use reqwest::{Method, StatusCode};
use serde_json::{Value, json};

use super::{
    audit,
    server::{Body, CLUSTER, Caller, SUBSCRIPTION, Server, data_plane, versioned, versioned_list},
};

const URL: &str = "https://git.example.net/blue/deploy.git";
const FLUX: &str = "api-version=2025-04-01";
const REVISION: &str = "0123456789012345678901234567890123456789";

fn list() -> String {
    format!("{CLUSTER}/providers/Microsoft.KubernetesConfiguration/fluxConfigurations")
}

fn flux(name: &str) -> String {
    format!("{}/{name}?{FLUX}", list())
}

fn desired() -> Value {
    json!({"properties": {
        "scope": "namespace",
        "namespace": "team-blue",
        "gitRepository": {
            "url": URL,
            "syncIntervalInSeconds": 60,
            "repositoryRef": {"branch": "main"},
            "httpsUser": "bot",
        },
        "kustomizations": {
            "infra": {"path": "infra", "prune": true},
            "apps": {"path": "apps", "dependsOn": ["infra"]},
        },
        "configurationProtectedSettings": {"httpsKey": "czNjcjN0"},
    }})
}

/// The agent's list, by name.
async fn seen_by(agent: &Caller) -> Vec<(String, Value)> {
    let (items, _) = agent.pages(&data_plane(CLUSTER)).await;
    items
        .into_iter()
        .map(|item| (item["name"].as_str().unwrap().to_owned(), item))
        .collect()
}

#[tokio::test]
async fn a_flux_configuration_is_put_shown_patched_and_deleted() {
    let server = Server::start().await;
    let (alice, agent) = (server.contributor().await, server.agent(CLUSTER).await);
    let missing = alice.get(&flux("blue")).await;
    assert_eq!(missing.error(), (404, "ResourceNotFound"));
    let created = alice.put(&flux("blue"), desired()).await;
    assert_eq!(created.status, StatusCode::CREATED, "{}", created.text);
    let mut shown = created.body.clone();
    let etag = shown["etag"].take();
    assert_eq!(created.headers["etag"], format!("{etag}"));
    assert_eq!(shown["systemData"].take()["createdBy"], "alice");
    let kustomization = |name: &str, path: &str, others: Value, prune: bool| {
        json!({
            "name": name, "path": path, "dependsOn": others, "prune": prune,
            "timeoutInSeconds": 600, "syncIntervalInSeconds": 600, "retryIntervalInSeconds": null,
            "force": false, "wait": true,
        })
    };
    let pending = |name: &str| {
        json!({
            "name": name, "namespace": "team-blue", "kind": "SourceControlConfiguration",
            "complianceState": "Pending", "statusConditions": [],
        })
    };
    assert_eq!(
        shown,
        json!({
            "id": format!("{}/blue", list()),
            "name": "blue",
            "type": "Microsoft.KubernetesConfiguration/fluxConfigurations",
            "etag": null,
            "systemData": null,
            "properties": {
                "scope": "namespace",
                "namespace": "team-blue",
                "sourceKind": "GitRepository",
                "suspend": false,
                "gitRepository": {
                    "url": URL, "timeoutInSeconds": 600, "syncIntervalInSeconds": 60,
                    "repositoryRef": {"branch": "main"}, "sshKnownHosts": null,
                    "httpsUser": "bot", "httpsCACert": null,
                },
                "kustomizations": {
                    "apps": kustomization("apps", "apps", json!(["infra"]), false),
                    "infra": kustomization("infra", "infra", json!([]), true),
                },
                "configurationProtectedSettings": {},
                "waitForReconciliation": false,
                "provisioningState": "Succeeded",
                "errorMessage": "",
                "complianceState": "Pending",
                "statuses": [pending("blue--apps"), pending("blue--infra")],
                "repositoryPublicKey": "",
                "sourceSyncedCommitId": null,
                "sourceUpdatedAt": null,
                "statusUpdatedAt": null,
            },
        })
    );
    assert_eq!(alice.get(&flux("BLUE")).await.body, created.body);
    let again = alice.put(&flux("blue"), desired()).await;
    assert_eq!((again.status, &again.body), (StatusCode::OK, &created.body));

    // One kustomization more, one less, and one as it was: that one need not be synced anew.
    let before = seen_by(&agent).await;
    let patch = json!({"properties": {
        "kustomizations": {"apps": null, "tools": {"path": "tools"}},
    }});
    let patched = alice.send(Method::PATCH, &flux("blue"), patch).await;
    assert_eq!(patched.status, StatusCode::OK, "{}", patched.text);
    assert_ne!(patched.body["etag"], etag);
    let after = seen_by(&agent).await;
    let names: Vec<&str> = after.iter().map(|(name, _)| name.as_str()).collect();
    assert_eq!(names, ["blue--infra", "blue--tools"]);
    assert_eq!(after[0], before[1]);
    let patch = json!({"properties": {"suspend": true}});
    let patched = alice.send(Method::PATCH, &flux("blue"), patch).await;
    assert_eq!(patched.body["properties"]["complianceState"], "Suspended");

    assert_eq!(alice.delete(&flux("blue")).await.status, StatusCode::OK);
    let gone = alice.delete(&flux("blue")).await;
    assert_eq!(gone.status, StatusCode::NO_CONTENT);
    let patch = Body::Json(json!({"properties": {}}));
    let patched = alice.send(Method::PATCH, &flux("blue"), patch).await;
    assert_eq!(patched.error(), (404, "ResourceNotFound"));
    assert_eq!(seen_by(&agent).await, []);
}

#[tokio::test]
async fn an_agent_is_told_each_kustomization_as_a_configuration_with_its_secrets() {
    let server = Server::start().await;
    let (alice, agent) = (server.contributor().await, server.agent(CLUSTER).await);
    alice.put(&flux("blue"), desired()).await;
    let seen = seen_by(&agent).await;
    let names: Vec<&str> = seen.iter().map(|(name, _)| name.as_str()).collect();
    assert_eq!(names, ["blue--apps", "blue--infra"]);
    for (_, item) in &seen {
        let properties = &item["properties"];
        assert_eq!(properties["repositoryUrl"], URL);
        assert_eq!(properties["operatorNamespace"], "team-blue");
        assert_eq!(properties["operatorScope"], "namespace");
        let secrets = &properties["configurationProtectedSettings"];
        assert_eq!(
            secrets,
            &json!({"httpsUser": "Ym90", "httpsKey": "czNjcjN0"})
        );
    }
    assert_eq!(
        seen[0].1["properties"]["operatorParams"],
        "--git-readonly --git-branch=main --git-path=apps --git-poll-interval=60s \
         --gitmoor-timeout=600s --gitmoor-depends-on=blue--infra"
    );
    assert_eq!(
        seen[1].1["properties"]["operatorParams"],
        "--git-readonly --git-branch=main --git-path=infra --git-poll-interval=60s \
         --sync-garbage-collection --gitmoor-timeout=600s"
    );
}

#[tokio::test]
async fn the_status_is_made_of_what_is_reported_of_the_parts() {
    let server = Server::start().await;
    let (alice, agent) = (server.contributor().await, server.agent(CLUSTER).await);
    alice.put(&flux("blue"), desired()).await;
    let report = async |name: &str, state: &str, problems: Value| {
        let seen = seen_by(&agent).await;
        let (_, item) = seen.iter().find(|(seen, _)| seen == name).unwrap();
        let path = format!("{}/{name}/status", data_plane(CLUSTER));
        let report = json!({
            "observedEtag": item["etag"],
            "complianceState": state,
            "message": format!("{name} is {state}"),
            "lastConfigApplied": "2026-01-02T03:04:05+00:00",
            "attemptedRevision": REVISION,
            "appliedRevision": REVISION,
            "problems": problems,
            "inventory": [
                {"object": "Deployment.apps shop/front", "health": "Failed", "message": "no image"},
                {"object": "Namespace shop", "health": "Current"},
            ],
        });
        let answer = agent.put(&path, report).await;
        assert_eq!(answer.status, StatusCode::NO_CONTENT, "{}", answer.text);
    };
    let shown = async || alice.get(&flux("blue")).await.body["properties"].clone();
    report("blue--infra", "Compliant", json!([])).await;
    let pending = shown().await;
    assert_eq!(pending["complianceState"], "Pending");
    assert_eq!(pending["sourceSyncedCommitId"], Value::Null);
    let problem = json!({
        "path": "apps/front.yaml", "line": 7, "object": "Deployment.apps shop/front",
        "reason": "Refused", "message": "no such image",
    });
    report("blue--apps", "Noncompliant", json!([problem])).await;
    let wrong = shown().await;
    assert_eq!(wrong["complianceState"], "Non-Compliant");
    assert_eq!(wrong["sourceSyncedCommitId"], format!("main/{REVISION}"));
    assert_eq!(wrong["sourceUpdatedAt"], "2026-01-02T03:04:05+00:00");
    assert!(wrong["statusUpdatedAt"].is_string());
    let statuses = wrong["statuses"].as_array().unwrap();
    let names: Vec<&str> = statuses
        .iter()
        .map(|one| one["name"].as_str().unwrap())
        .collect();
    assert_eq!(
        names,
        [
            "blue--apps",
            "front",
            "shop",
            "blue--infra",
            "front",
            "shop"
        ]
    );
    assert_eq!(
        statuses[1],
        json!({
            "name": "front", "namespace": "shop", "kind": "Deployment",
            "complianceState": "Non-Compliant",
            "appliedBy": {"name": "blue--apps", "namespace": "team-blue"},
            "statusConditions": [{
                "type": "Ready", "status": "False", "reason": "Refused",
                "message": "apps/front.yaml:7: no such image",
            }],
        })
    );
    assert_eq!(statuses[2]["kind"], "Namespace");
    assert_eq!(statuses[2]["complianceState"], "Compliant");
    assert_eq!(
        statuses[4]["statusConditions"][0],
        json!({"type": "Ready", "status": "False", "reason": "Failed", "message": "no image"})
    );
    let ready = &statuses[3]["statusConditions"][0];
    assert_eq!(ready["status"], "True");
    assert_eq!(ready["message"], "blue--infra is Compliant");
    report("blue--apps", "Compliant", json!([])).await;
    assert_eq!(shown().await["complianceState"], "Compliant");
}

#[tokio::test]
async fn what_large_reports_say_is_told_in_full_as_far_as_there_is_room() {
    let server = Server::start().await;
    let (alice, agent) = (server.contributor().await, server.agent(CLUSTER).await);
    let mut wanted = desired();
    wanted["properties"]["kustomizations"] = json!({"a": {}, "b": {}, "c": {}});
    let created = alice.put(&flux("blue"), wanted).await;
    assert_eq!(created.status, StatusCode::CREATED, "{}", created.text);
    // What takes the most room.
    let long = "\u{1}".repeat(1020);
    let problems: Vec<Value> = (0..100)
        .map(|line| json!({"path": &long, "line": line, "reason": &long, "message": &long, "object": format!("Pod x/{line}")}))
        .collect();
    for (name, seen) in seen_by(&agent).await {
        let report = json!({
            "observedEtag": seen["etag"], "complianceState": "Noncompliant",
            "appliedRevision": REVISION, "problems": problems,
        });
        let path = format!("{}/{name}/status", data_plane(CLUSTER));
        assert_eq!(agent.put(&path, report).await.status, 204);
    }
    let shown = alice.get(&flux("blue")).await;
    let properties = &shown.body["properties"];
    assert_eq!(properties["complianceState"], "Non-Compliant");
    assert_eq!(
        properties["sourceSyncedCommitId"],
        format!("main/{REVISION}")
    );
    let told = |shown: &Value, part: &str| {
        let statuses = shown["properties"]["statuses"].as_array().unwrap();
        let of = statuses
            .iter()
            .filter(|one| one["appliedBy"]["name"] == part);
        of.count()
    };
    assert_eq!(told(&shown.body, "blue--a"), 100);
    assert_eq!(told(&shown.body, "blue--c"), 3);
    let listed = alice.get(&format!("{}?{FLUX}", list())).await;
    assert_eq!(listed.body["value"], json!([shown.body]));
    // What was reported before a change takes no room.
    let patch = json!({"properties": {"kustomizations": {"a": {"path": "other"}}}});
    let patched = alice.send(Method::PATCH, &flux("blue"), patch).await;
    assert_eq!(patched.status, StatusCode::OK, "{}", patched.text);
    let shown = alice.get(&flux("blue")).await;
    assert_eq!(told(&shown.body, "blue--b"), 100);
    assert_eq!(told(&shown.body, "blue--c"), 100);
}

#[tokio::test]
async fn secrets_are_kept_until_they_are_replaced_and_never_given_back() {
    let server = Server::start().await;
    let (alice, agent) = (server.contributor().await, server.agent(CLUSTER).await);
    let key = async || {
        let seen = seen_by(&agent).await;
        let secrets = &seen[0].1["properties"]["configurationProtectedSettings"];
        secrets["httpsKey"].clone()
    };
    let created = alice.put(&flux("blue"), desired()).await;
    assert!(!created.text.contains("czNjcjN0"));
    // Absent keeps, also in a PATCH.
    let mut without = desired();
    let properties = without["properties"].as_object_mut().unwrap();
    properties.remove("configurationProtectedSettings");
    let kept = alice.put(&flux("blue"), without.clone()).await;
    assert_eq!(kept.status, StatusCode::OK, "{}", kept.text);
    assert_eq!(key().await, "czNjcjN0");
    // But not for another server.
    let mut elsewhere = without.clone();
    let url = "https://evil.example.net/blue/deploy.git";
    elsewhere["properties"]["gitRepository"]["url"] = url.into();
    let refused = alice.put(&flux("blue"), elsewhere).await;
    assert_eq!(refused.targets(), ["properties.gitRepository.url"]);
    let patch = json!({"properties": {"gitRepository": {"url": url}}});
    let refused = alice.send(Method::PATCH, &flux("blue"), patch).await;
    assert_eq!(refused.targets(), ["properties.gitRepository.url"]);
    let patch = json!({"properties": {"configurationProtectedSettings": {"httpsKey": "b3RoZXI="}}});
    let patched = alice.send(Method::PATCH, &flux("blue"), patch).await;
    assert!(!patched.text.contains("b3RoZXI="));
    assert_eq!(key().await, "b3RoZXI=");
    let log = audit::log(&server, CLUSTER).await;
    assert_eq!(log.len(), 2, "{log:?}");
    for entry in log {
        assert!(
            entry.action.ends_with("/fluxConfigurations/write"),
            "{entry:?}"
        );
        let text = serde_json::to_string(&entry).unwrap();
        assert!(
            text.contains("httpsKey") && !text.contains("czNjcjN0") && !text.contains("b3RoZXI=")
        );
    }
    // The user is of no use without its key.
    for nothing in [json!({}), Value::Null] {
        let mut cleared = without.clone();
        cleared["properties"]["configurationProtectedSettings"] = nothing;
        let refused = alice.put(&flux("blue"), cleared.clone()).await;
        assert_eq!(refused.error(), (400, "InvalidRequestContent"));
        let repository = cleared["properties"]["gitRepository"]
            .as_object_mut()
            .unwrap();
        repository.remove("httpsUser");
        let done = alice.put(&flux("blue"), cleared).await;
        assert_eq!(done.status, StatusCode::OK, "{}", done.text);
        assert_eq!(key().await, Value::Null);
        alice.put(&flux("blue"), desired()).await;
    }
}

#[tokio::test]
async fn parts_are_no_configurations_of_the_other_api_and_are_not_written_by_it() {
    let server = Server::start().await;
    let alice = server.contributor().await;
    let own = json!({"properties": {"repositoryUrl": URL}});
    alice
        .put(&versioned(CLUSTER, "blue--tools"), own.clone())
        .await;
    alice.put(&flux("blue"), desired()).await;
    let (others, _) = alice.pages(&versioned_list(CLUSTER)).await;
    assert_eq!(others.len(), 1, "{others:?}");
    let part = versioned(CLUSTER, "blue--apps");
    assert_eq!(alice.get(&part).await.error(), (404, "ResourceNotFound"));
    for refused in [alice.put(&part, own).await, alice.delete(&part).await] {
        assert_eq!(refused.error(), (409, "Conflict"));
        assert!(
            refused.text.contains("fluxConfiguration 'blue'"),
            "{}",
            refused.text
        );
    }
    // Nor does a kustomization take the place of one.
    let patch = json!({"properties": {"kustomizations": {"tools": {}}}});
    let taken = alice.send(Method::PATCH, &flux("blue"), patch).await;
    assert_eq!(taken.error(), (400, "InvalidRequestContent"));
    assert_eq!(
        taken.body["error"]["details"][0]["target"],
        "properties.kustomizations.tools"
    );
}

#[tokio::test]
async fn all_that_is_wrong_is_said_at_once() {
    let server = Server::start().await;
    let alice = server.contributor().await;
    let own = json!({"properties": {"repositoryUrl": URL}});
    alice.put(&versioned(CLUSTER, "blue--tools"), own).await;
    let mut wrong = desired();
    wrong["properties"]["suspend"] = json!("yes");
    wrong["properties"]["gitRepository"]["url"] = json!("nonsense");
    wrong["properties"]["kustomizations"]["tools"] = json!({"dependsOn": ["gone"]});
    let refused = alice.put(&flux("blue"), wrong).await;
    assert_eq!(refused.error(), (400, "InvalidRequestContent"));
    let mut fields = refused.targets();
    fields.sort_unstable();
    let wanted = [
        "properties.gitRepository.url",
        "properties.kustomizations.tools",
        "properties.kustomizations.tools.dependsOn",
        "properties.suspend",
    ];
    assert_eq!(fields, wanted, "{}", refused.text);
}

#[tokio::test]
async fn a_part_that_can_have_no_id_is_refused_by_name() {
    let server = Server::start().await;
    let alice = server.contributor().await;
    let mut cluster = format!("{CLUSTER}-");
    let room = 1024 - flux("blue").len() + FLUX.len() + 1 + CLUSTER.len();
    cluster.extend(std::iter::repeat_n('c', room - cluster.len()));
    let path = flux("blue").replace(CLUSTER, &cluster);
    let refused = alice.put(&path, desired()).await;
    assert_eq!(refused.error(), (400, "InvalidRequestContent"));
    let details = refused.body["error"]["details"].as_array().unwrap();
    assert_eq!(details.len(), 2, "{}", refused.text);
    assert_eq!(details[0]["target"], "properties.kustomizations.apps");
}

#[tokio::test]
async fn patches_at_once_are_all_done_and_one_with_a_condition_is_not_done_on_another_version() {
    let server = Server::start().await;
    let alice = server.contributor().await;
    let created = alice.put(&flux("blue"), desired()).await;
    let patches = (0..6).map(|number| {
        let alice = alice.clone();
        tokio::spawn(async move {
            let patch =
                json!({"properties": {"kustomizations": {format!("k{number}"): {"path": "x"}}}});
            let any = [("if-match", "*")];
            let headers = if number % 2 == 0 { &any[..] } else { &[] };
            alice
                .send_with(Method::PATCH, &flux("blue"), patch, headers)
                .await
        })
    });
    for patch in patches.collect::<Vec<_>>() {
        let patched = patch.await.unwrap();
        assert_eq!(patched.status, StatusCode::OK, "{}", patched.text);
    }
    let shown = alice.get(&flux("blue")).await;
    let kustomizations = &shown.body["properties"]["kustomizations"];
    assert_eq!(kustomizations.as_object().unwrap().len(), 8);
    let etag = created.headers["etag"].to_str().unwrap();
    let now = shown.headers["etag"].to_str().unwrap();
    let suspend = json!({"properties": {"suspend": true}});
    for (header, status) in [
        (("if-match", etag), 412),
        (("if-none-match", "*"), 412),
        (("if-match", now), 200),
    ] {
        let patched = alice
            .send_with(Method::PATCH, &flux("blue"), suspend.clone(), &[header])
            .await;
        assert_eq!(patched.status, status, "{header:?}");
    }
}

#[tokio::test]
async fn a_long_namespace_and_words_in_any_case_are_taken() {
    let server = Server::start().await;
    let (alice, agent) = (server.contributor().await, server.agent(CLUSTER).await);
    let mut wanted = desired();
    let namespace = "n".repeat(63);
    wanted["properties"]["namespace"] = json!(namespace);
    wanted["properties"]["sourceKind"] = json!("gitrepository");
    wanted["properties"]["gitRepository"]["provider"] = json!("generic");
    let created = alice.put(&flux("blue"), wanted.clone()).await;
    assert_eq!(created.status, StatusCode::CREATED, "{}", created.text);
    let properties = &created.body["properties"];
    assert_eq!(properties["sourceKind"], "GitRepository");
    let seen = seen_by(&agent).await;
    assert_eq!(seen[0].1["properties"]["operatorNamespace"], namespace);
    wanted["properties"]["namespace"] = json!("n".repeat(64));
    let refused = alice.put(&flux("red"), wanted).await;
    let details = refused.body["error"]["details"].as_array().unwrap();
    assert_eq!(details.len(), 1, "{}", refused.text);
    assert_eq!(details[0]["target"], "properties.namespace");
}

#[tokio::test]
async fn what_is_not_followed_and_what_cannot_change_is_refused_by_name() {
    let server = Server::start().await;
    let alice = server.contributor().await;
    alice.put(&flux("blue"), desired()).await;
    let refused = async |change: Value| {
        let answer = alice.send(Method::PATCH, &flux("blue"), change).await;
        assert_eq!(
            answer.error(),
            (400, "InvalidRequestContent"),
            "{}",
            answer.text
        );
        let targets = answer.targets().into_iter().map(str::to_owned);
        targets.collect::<Vec<_>>()
    };
    let change = json!({"properties": {
        "bucket": {"url": "https://s3.example.net"},
        "kustomizations": {"apps": {"wait": false}},
    }});
    assert_eq!(
        refused(change).await,
        ["properties.bucket", "properties.kustomizations.apps.wait"]
    );
    let change = json!({"properties": {"scope": "cluster", "namespace": "team-red"}});
    assert_eq!(
        refused(change).await,
        ["properties.scope", "properties.namespace"]
    );
    for (body, status) in [
        ("[]", 400),
        ("no JSON", 400),
        ("{\"properties\": 7}", 400),
        ("{}", 200),
    ] {
        let body = Body::Bytes(body.as_bytes().to_vec());
        let answer = alice.send(Method::PATCH, &flux("blue"), body).await;
        assert_eq!(answer.status, status, "{}", answer.text);
    }
    let unknown = alice
        .get(&flux("blue").replace("2025-04-01", "2021-03-01"))
        .await;
    assert_eq!(unknown.error(), (400, "NoRegisteredProviderFound"));
}

#[tokio::test]
async fn conditions_and_roles_hold_and_lists_come_in_pages() {
    let server =
        Server::start_with(|settings| settings.limits.page_size = 2.try_into().unwrap()).await;
    let alice = server.contributor().await;
    for name in ["blue", "green", "red"] {
        alice.put(&flux(name), desired()).await;
    }
    let (all, sizes) = alice.pages(&format!("{}?{FLUX}", list())).await;
    assert_eq!(sizes, [2, 1]);
    assert_eq!(all[0], alice.get(&flux("blue")).await.body);

    let other = [("if-match", "\"other\"")];
    let none = [("if-none-match", "*")];
    for (method, headers) in [
        (Method::PUT, other),
        (Method::PUT, none),
        (Method::PATCH, other),
        (Method::DELETE, other),
    ] {
        let answer = alice
            .send_with(method, &flux("blue"), desired(), &headers)
            .await;
        assert_eq!(
            answer.error(),
            (412, "PreconditionFailed"),
            "{}",
            answer.text
        );
    }
    let reader = server.principal(SUBSCRIPTION, Role::Reader).await;
    assert_eq!(reader.get(&flux("blue")).await.status, StatusCode::OK);
    for refused in [
        reader.put(&flux("blue"), desired()).await,
        reader.delete(&flux("blue")).await,
        server.agent(CLUSTER).await.get(&flux("blue")).await,
    ] {
        assert_eq!(refused.error(), (403, "AuthorizationFailed"));
    }
}

#[tokio::test]
async fn they_go_with_their_group() {
    let server = Server::start().await;
    let alice = server.contributor().await;
    let group = format!("{SUBSCRIPTION}/resourceGroups/edge?api-version=2022-12-01");
    alice.put(&group, json!({"location": "westeurope"})).await;
    alice.put(&flux("blue"), desired()).await;
    assert_eq!(alice.delete(&group).await.status, StatusCode::OK);
    assert_eq!(alice.get(&flux("blue")).await.status, StatusCode::NOT_FOUND);
    // The agents of before are gone, too.
    assert_eq!(seen_by(&server.agent(CLUSTER).await).await, []);
}

#[tokio::test]
async fn every_api_version_goes_the_whole_way() {
    let server = Server::start().await;
    let alice = server.contributor().await;
    for version in [
        "2022-03-01",
        "2022-07-01",
        "2022-11-01",
        "2023-05-01",
        "2024-04-01-preview",
        "2024-11-01",
        "2025-04-01",
    ] {
        let path = format!("{}/blue?api-version={version}", list());
        let created = alice.put(&path, desired()).await;
        assert_eq!(created.status, StatusCode::CREATED, "{version}");
        assert_eq!(created.body["systemData"]["createdByType"], "Application");
        assert_eq!(alice.get(&path).await.body, created.body, "{version}");
        let suspend = json!({"properties": {"suspend": true}});
        let patched = alice.send(Method::PATCH, &path, suspend).await;
        assert_eq!(patched.status, StatusCode::OK, "{version}");
        assert_eq!(patched.body["properties"]["suspend"], true);
        let listed = alice
            .get(&format!("{}?api-version={version}", list()))
            .await;
        assert_eq!(listed.body["value"], json!([patched.body]), "{version}");
        let gone = alice.delete(&format!("{path}&forceDelete=true")).await;
        assert_eq!(gone.status, StatusCode::OK, "{version}");
        assert_eq!(alice.delete(&path).await.status, StatusCode::NO_CONTENT);
    }
    for other in ["2021-09-01", "2022-01-01-preview", "2026-07-01-preview"] {
        let path = format!("{}/blue?api-version={other}", list());
        let refused = alice.put(&path, desired()).await;
        assert_eq!(refused.error(), (400, "NoRegisteredProviderFound"));
    }
}
