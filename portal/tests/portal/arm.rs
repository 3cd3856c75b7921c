//! The ARM API as its clients know it: codes, bodies, paging, case, versions, what is refused.

use reqwest::{Method, StatusCode};
use serde_json::json;
use uuid::Uuid;

use super::{
    server::{
        Body, CLUSTER, Caller, OTHER_CLUSTER, Server, VERSION, body, configuration, list_path,
        versioned, versioned_list,
    },
    versions::{FIRST, LATER},
};

const URL: &str = "https://git.example.net/blue/deploy.git";

#[tokio::test]
async fn a_configuration_is_created_shown_replaced_and_deleted() {
    let server = Server::start().await;
    let alice = server.contributor().await;
    let path = versioned(CLUSTER, "blue");

    let missing = alice.get(&path).await;
    assert_eq!(missing.error(), (404, "ResourceNotFound"));
    assert_eq!(
        missing.body["error"]["message"],
        "SourceControlConfiguration with name 'blue' not found."
    );

    let created = alice
        .put(
            &path,
            json!({
                "location": "westeurope",
                "properties": {
                    "repositoryUrl": URL,
                    "operatorNamespace": "team-blue",
                    "operatorInstanceName": "blue-op",
                    "operatorType": "flux",
                    "operatorParams": " --git-branch=main --git-path=prod ",
                    "operatorScope": "namespace",
                    "provisioningState": "Failed",
                    "complianceStatus": {"complianceState": "Compliant"},
                    "repositoryPublicKey": "not mine",
                }
            }),
        )
        .await;
    assert_eq!(created.status, StatusCode::CREATED, "{}", created.text);
    let mut shown = created.body.clone();
    let etag = shown["etag"].take();
    let system_data = shown["systemData"].take();
    assert_eq!(
        shown,
        json!({
            "id": configuration(CLUSTER, "blue"),
            "name": "blue",
            "type": "Microsoft.KubernetesConfiguration/sourceControlConfigurations",
            "etag": null,
            "systemData": null,
            "properties": {
                "repositoryUrl": URL,
                "operatorNamespace": "team-blue",
                "operatorInstanceName": "blue-op",
                "operatorType": "Flux",
                "operatorParams": "--git-readonly --git-branch=main --git-path=prod",
                "operatorScope": "namespace",
                "configurationProtectedSettings": {},
                "sshKnownHostsContents": "",
                "enableHelmOperator": false,
                "helmOperatorProperties": {"chartVersion": "", "chartValues": ""},
                "repositoryPublicKey": "",
                "provisioningState": "Succeeded",
                "complianceStatus": {
                    "complianceState": "Pending",
                    "lastConfigApplied": "0001-01-01T00:00:00+00:00",
                    "message": "{\"OperatorMessage\":null,\"ClusterState\":null}",
                    "messageLevel": "Information",
                },
            },
        })
    );
    assert_eq!(system_data["createdBy"], "alice");
    assert_eq!(system_data["createdByType"], "Application");
    assert_eq!(system_data["createdAt"], system_data["lastModifiedAt"]);

    let found = alice.get(&path).await;
    assert_eq!(found.status, StatusCode::OK);
    assert_eq!(found.body, created.body);

    let replaced = alice.put(&path, body(URL)).await;
    assert_eq!(replaced.status, StatusCode::OK);
    let properties = &replaced.body["properties"];
    assert_eq!(properties["operatorNamespace"], "default");
    assert_eq!(properties["operatorScope"], "cluster");
    assert_eq!(properties["operatorParams"], "--git-readonly");
    assert_ne!(replaced.body["etag"], etag);
    assert_eq!(
        replaced.body["systemData"]["createdAt"],
        system_data["createdAt"]
    );

    let deleted = alice.delete(&path).await;
    assert_eq!(
        (deleted.status, deleted.text.as_str()),
        (StatusCode::OK, "")
    );
    let again = alice.delete(&path).await;
    assert_eq!(again.status, StatusCode::NO_CONTENT);
    assert_eq!(alice.get(&path).await.status, StatusCode::NOT_FOUND);
    assert_eq!(alice.put(&path, body(URL)).await.status, 201);
}

#[tokio::test]
async fn a_put_of_what_is_there_changes_nothing() {
    let server = Server::start().await;
    let alice = server.contributor().await;
    let path = versioned(CLUSTER, "blue");
    let first = alice.put(&path, body(URL)).await;
    let second = alice.put(&path, body(URL)).await;
    assert_eq!(second.status, StatusCode::OK);
    assert_eq!(second.body, first.body);
    // What was read may be written back.
    let third = alice.put(&path, second.body.clone()).await;
    assert_eq!(third.body, first.body);
}

#[tokio::test]
async fn a_list_comes_in_pages_and_is_complete() {
    let server =
        Server::start_with(|settings| settings.limits.page_size = 3.try_into().unwrap()).await;
    let alice = server.contributor().await;
    for number in 0..7 {
        let name = format!("team-{number}");
        let answer = alice.put(&versioned(CLUSTER, &name), body(URL)).await;
        assert_eq!(answer.status, StatusCode::CREATED);
    }
    alice.put(&versioned(OTHER_CLUSTER, "red"), body(URL)).await;

    let (items, sizes) = alice.pages(&versioned_list(CLUSTER)).await;
    assert_eq!(sizes, [3, 3, 1]);
    let names: Vec<&str> = items.iter().map(|i| i["name"].as_str().unwrap()).collect();
    let wanted: Vec<String> = (0..7).map(|number| format!("team-{number}")).collect();
    assert_eq!(names, wanted);
    assert_eq!(
        items[4],
        alice.get(&versioned(CLUSTER, "team-4")).await.body
    );

    // What is no name is not looked for: PostgreSQL would take it for a broken text.
    let path = format!("{}&$skipToken=a%00b", versioned_list(CLUSTER));
    assert_eq!(alice.get(&path).await.error(), (400, "InvalidSkipToken"));

    // No empty page where the list ends with a page.
    alice.delete(&versioned(CLUSTER, "team-6")).await;
    let (_, sizes) = alice.pages(&versioned_list(CLUSTER)).await;
    assert_eq!(sizes, [3, 3]);
}

#[tokio::test]
async fn a_cluster_without_configurations_has_an_empty_list() {
    let server = Server::start().await;
    let answer = server
        .contributor()
        .await
        .get(&versioned_list(CLUSTER))
        .await;
    assert_eq!(answer.status, StatusCode::OK);
    assert_eq!(answer.body, json!({"value": [], "nextLink": null}));
}

#[tokio::test]
async fn paths_are_matched_without_regard_to_case_and_keep_the_case_of_the_first_put() {
    let server = Server::start().await;
    let alice = server.contributor().await;
    let first = CLUSTER.replace("edge-07", "Edge-07");
    let created = alice.put(&versioned(&first, "blue"), body(URL)).await;
    assert_eq!(created.status, StatusCode::CREATED);

    let upper = format!(
        "{}?API-VERSION={VERSION}",
        configuration(CLUSTER, "BLUE").to_uppercase()
    );
    let found = alice.get(&upper).await;
    assert_eq!(found.body["id"], configuration(&first, "blue"));

    let other = body("https://git.example.net/other.git");
    let replaced = alice.put(&upper, other).await;
    assert_eq!(replaced.status, StatusCode::OK, "{}", replaced.text);
    assert_eq!(replaced.body["id"], configuration(&first, "blue"));
    assert_eq!(replaced.body["name"], "blue");

    let lower = versioned_list(CLUSTER).to_lowercase();
    assert_eq!(alice.pages(&lower).await.0.len(), 1);
    assert_eq!(alice.delete(&upper).await.status, StatusCode::OK);
    assert_eq!(alice.pages(&lower).await.0.len(), 0);
}

#[tokio::test]
async fn every_call_names_a_version_that_has_the_resource() {
    // Those of the provider's other types, in which it says what it can do too.
    const OTHERS: [&str; 5] = [
        "2021-09-01",
        "2022-04-02-preview",
        "2024-04-01-preview",
        "2024-11-01",
        "2025-04-01",
    ];
    let server = Server::start().await;
    let alice = server.contributor().await;
    let one = configuration(CLUSTER, "blue");
    let calls = [
        (Method::GET, one.clone()),
        (Method::PUT, one.clone()),
        (Method::DELETE, one.clone()),
        (Method::GET, list_path(CLUSTER)),
        (
            Method::GET,
            "/providers/Microsoft.KubernetesConfiguration/operations".to_owned(),
        ),
    ];
    for (method, path) in calls {
        let missing = alice.send(method.clone(), &path, body(URL)).await;
        assert_eq!(missing.error(), (400, "MissingApiVersionParameter"));
        let others: &[&str] = if path.ends_with("operations") {
            &[]
        } else {
            &OTHERS
        };
        for version in ["2022-01-15-preview", "1999-01-01", ""]
            .iter()
            .chain(others)
        {
            let path = format!("{path}?api-version={version}");
            let unknown = alice.send(method.clone(), &path, body(URL)).await;
            assert_eq!(unknown.error(), (400, "NoRegisteredProviderFound"));
            let message = unknown.body["error"]["message"].as_str().unwrap();
            for known in [FIRST].iter().chain(&LATER) {
                assert!(message.contains(known), "{message}");
            }
        }
    }
    assert_eq!(alice.pages(&versioned_list(CLUSTER)).await.0.len(), 0);

    alice.put(&versioned(CLUSTER, "blue"), body(URL)).await;
    for version in [FIRST].iter().chain(&LATER) {
        let path = format!("{one}?api-version={version}");
        assert_eq!(alice.get(&path).await.status, StatusCode::OK, "{version}");
    }
    let path = format!("{one}?api-version=2022-03-01-Preview");
    assert_eq!(alice.get(&path).await.status, StatusCode::BAD_REQUEST);
}

#[tokio::test]
async fn every_field_at_fault_is_named_at_once() {
    let server = Server::start().await;
    let alice = server.contributor().await;
    let answer = alice
        .put(
            &versioned(CLUSTER, "Blue_1"),
            json!({"properties": {
                "repositoryUrl": "nonsense",
                "operatorNamespace": "Team",
                "operatorScope": "world",
                "operatorType": "Argo",
                "configurationProtectedSettings": {"sshPrivateKey": "!"},
            }}),
        )
        .await;
    assert_eq!(answer.error(), (400, "InvalidRequestContent"));
    let targets = answer.targets();
    for field in [
        "name",
        "properties.repositoryUrl",
        "properties.operatorNamespace",
        "properties.operatorScope",
        "properties.operatorType",
        "properties.configurationProtectedSettings.sshPrivateKey",
    ] {
        assert!(targets.contains(&field), "{field} is not in {targets:?}");
    }
}

#[tokio::test]
async fn a_body_that_is_no_configuration_is_refused() {
    let server = Server::start().await;
    let alice = server.contributor().await;
    let path = versioned(CLUSTER, "blue");
    let wrong_types = json!({"properties": {
        "repositoryUrl": 1, "operatorParams": ["--git-readonly"], "enableHelmOperator": "yes",
        "configurationProtectedSettings": {"httpsUser": 7}, "helmOperatorProperties": [],
    }});
    let answer = alice.put(&path, wrong_types).await;
    assert_eq!(answer.error(), (400, "InvalidRequestContent"));
    assert_eq!(answer.targets().len(), 5, "{}", answer.text);

    let deep = format!("{{\"properties\":{}", "[".repeat(100_000));
    let bodies: [&[u8]; 9] = [
        b"",
        b"{",
        b"null",
        b"[]",
        b"\"text\"",
        b"{}",
        b"{\"properties\": null}",
        b"{\"properties\": {\"repositoryUrl\": \"\xff\"}}",
        deep.as_bytes(),
    ];
    for body in bodies {
        let answer = alice.put(&path, body.to_vec()).await;
        let text = String::from_utf8_lossy(&body[..body.len().min(40)]);
        assert_eq!(answer.error(), (400, "InvalidRequestContent"), "{text}");
    }
    assert_eq!(alice.get(&path).await.status, StatusCode::NOT_FOUND);
}

#[tokio::test]
async fn other_methods_and_paths_are_refused() {
    let server = Server::start().await;
    let alice = server.contributor().await;
    let one = versioned(CLUSTER, "blue");
    for method in [Method::PATCH, Method::POST] {
        let answer = alice.send(method, &one, Body::None).await;
        assert_eq!(answer.error(), (405, "MethodNotAllowed"));
        assert_eq!(answer.headers["allow"], "GET, PUT, DELETE");
    }
    let answer = alice.put(&versioned_list(CLUSTER), body(URL)).await;
    assert_eq!(answer.error(), (405, "MethodNotAllowed"));
    for path in [
        &CLUSTER.replace("connectedClusters", "virtualMachines"),
        &format!("{CLUSTER}/providers/Microsoft.KubernetesConfiguration/privateLinkScopes"),
        &format!("{}/%2e%2e/x", list_path(CLUSTER)),
    ] {
        let answer = alice.get(path).await;
        assert_eq!(answer.error(), (404, "InvalidResourceType"), "{path}");
    }
}

#[tokio::test]
async fn answers_carry_the_headers_of_arm() {
    let server = Server::start().await;
    let alice = server.contributor().await;
    let reader = server.agent(CLUSTER).await;
    let nobody = Caller::new(&server.url, server.ca.as_deref().unwrap(), "none");
    let (list, one) = (versioned_list(CLUSTER), versioned(CLUSTER, "blue"));
    let unversioned = configuration(CLUSTER, "blue");
    let condition = [("if-match", "*")];
    let answers = [
        (200, alice.get(&list).await),
        (404, alice.get(&one).await),
        (400, alice.get(&unversioned).await),
        (400, alice.put(&one, json!({})).await),
        (403, reader.get(&one).await),
        (401, nobody.get(&one).await),
        (405, alice.send(Method::POST, &one, Body::None).await),
        (204, alice.delete(&one).await),
        (
            412,
            alice
                .send_with(Method::PUT, &one, body(URL), &condition)
                .await,
        ),
        (413, alice.put(&one, vec![b' '; 600 * 1024]).await),
    ];
    for (status, answer) in answers {
        assert_eq!(answer.status, status, "{}", answer.text);
        assert_eq!(answer.headers["pragma"], "no-cache");
        assert_eq!(answer.headers["expires"], "-1");
        assert_eq!(answer.headers["x-content-type-options"], "nosniff");
        assert!(answer.headers.contains_key("strict-transport-security"));
        for id in ["request-id", "correlation-request-id", "routing-request-id"] {
            assert!(answer.headers.contains_key(format!("x-ms-{id}")), "{id}");
        }
        let cache = answer.headers["cache-control"].to_str().unwrap();
        assert!(cache.contains("no-cache"), "{cache}");
        let versions = answer.headers["api-supported-versions"].to_str().unwrap();
        assert!(versions.ends_with(VERSION), "{versions}");
    }
}

#[tokio::test]
async fn an_answer_names_the_versions_of_its_own_type() {
    let server = Server::start().await;
    let alice = server.contributor().await;
    let below = format!("{CLUSTER}/providers/Microsoft.KubernetesConfiguration");
    let roles = format!("{CLUSTER}/providers/Microsoft.Authorization");
    let (operation, role) = ("/operations/0a1b", Uuid::new_v4());
    for (path, newest) in [
        (CLUSTER.to_owned(), Some("2026-05-01")),
        (format!("{below}/fluxConfigurations"), Some("2025-04-01")),
        (
            format!("{below}/fluxConfigurations/x{operation}"),
            Some("2025-04-01"),
        ),
        (format!("{below}/extensions"), Some("2025-03-01")),
        (list_path(CLUSTER), Some(VERSION)),
        (format!("{roles}/roleAssignments"), Some("2022-04-01")),
        (
            format!("{roles}/roleAssignments/{role}"),
            Some("2022-04-01"),
        ),
        (
            format!("{roles}/roleDefinitions"),
            Some("2022-05-01-preview"),
        ),
        (
            format!("{roles}/roleDefinitions/{role}"),
            Some("2022-05-01-preview"),
        ),
        ("/subscriptions".to_owned(), None),
        ("/metadata/endpoints".to_owned(), None),
        ("/nothing".to_owned(), None),
    ] {
        let answer = alice.get(&path).await;
        let versions = answer.headers.get("api-supported-versions");
        let versions = versions.map(|versions| versions.to_str().unwrap());
        let last = versions.and_then(|versions| versions.split(", ").last());
        assert_eq!(last, newest, "{path}");
    }
}

#[tokio::test]
async fn nothing_takes_its_time() {
    let server = Server::start().await;
    let alice = server.contributor().await;
    let below = format!("{CLUSTER}/providers/Microsoft.KubernetesConfiguration");
    let listed = alice
        .get(&format!("{below}/operations?api-version=2023-05-01"))
        .await;
    assert_eq!(listed.body, json!({"value": [], "nextLink": null}));
    for kind in ["fluxConfigurations", "extensions"] {
        let path = format!("{below}/{kind}/x/operations/0a1b");
        let missing = alice.get(&format!("{path}?api-version=2023-05-01")).await;
        assert_eq!(missing.error(), (404, "ResourceNotFound"));
        assert!(missing.text.contains("Operation with id '0a1b' not found."));
        let unversioned = alice.get(&path).await;
        assert_eq!(unversioned.error(), (400, "MissingApiVersionParameter"));
    }
}

#[tokio::test]
async fn the_operations_of_the_provider_are_listed() {
    let server = Server::start().await;
    let path =
        format!("/providers/Microsoft.KubernetesConfiguration/operations?api-version={VERSION}");
    let (operations, _) = server.contributor().await.pages(&path).await;
    let names: Vec<&str> = operations
        .iter()
        .map(|operation| operation["name"].as_str().unwrap())
        .collect();
    assert!(
        names.contains(&"Microsoft.KubernetesConfiguration/sourceControlConfigurations/write"),
        "{names:?}"
    );
}

#[tokio::test]
async fn puts_at_the_same_time_end_in_one_state_and_one_creation() {
    let server = Server::start().await;
    let alice = server.contributor().await;
    let path = versioned(CLUSTER, "blue");
    let puts = (0..16).map(|number| {
        let (alice, path) = (alice.clone(), path.clone());
        tokio::spawn(async move {
            let url = format!("https://git.example.net/{number}.git");
            alice.put(&path, body(&url)).await
        })
    });
    let mut created = 0;
    let mut etags = Vec::new();
    for put in puts.collect::<Vec<_>>() {
        let answer = put.await.unwrap();
        assert!(answer.status.is_success(), "{}", answer.text);
        created += usize::from(answer.status == StatusCode::CREATED);
        etags.push((answer.body["etag"].clone(), answer.body));
    }
    assert_eq!(created, 1);
    let last = alice.get(&path).await.body;
    let answered = etags.iter().find(|(etag, _)| *etag == last["etag"]);
    assert_eq!(answered.map(|(_, body)| body), Some(&last));
}

#[tokio::test]
async fn all_that_is_wrong_is_said_at_once() {
    let server = Server::start().await;
    let alice = server.contributor().await;
    let wrong = json!({"properties": {"repositoryUrl": "nonsense", "enableHelmOperator": "yes"}});
    let refused = alice.put(&versioned(CLUSTER, "No_Name"), wrong).await;
    assert_eq!(refused.error(), (400, "InvalidRequestContent"));
    let mut fields = refused.targets();
    fields.sort_unstable();
    let wanted = [
        "name",
        "properties.enableHelmOperator",
        "properties.repositoryUrl",
    ];
    assert_eq!(fields, wanted, "{}", refused.text);
}

#[tokio::test]
async fn an_organisation_in_an_address_of_azure_devops_is_no_credential() {
    let server = Server::start().await;
    let alice = server.contributor().await;
    for (url, status) in [
        ("https://org@dev.azure.com/org/project/_git/deploy", 201),
        ("https://token@dev.azure.com/org/project/_git/deploy", 400),
        (
            "https://org:pass@dev.azure.com/org/project/_git/deploy",
            400,
        ),
        ("git://git.example.net/org/deploy", 400),
    ] {
        let answer = alice.put(&versioned(CLUSTER, "blue"), body(url)).await;
        assert_eq!(answer.status, status, "{url}: {}", answer.text);
    }
}
