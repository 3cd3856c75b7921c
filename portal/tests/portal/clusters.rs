//! Connected clusters: the inventory, and what goes with a cluster that is deleted.

use gitmoor_portal::identity::Role;
use reqwest::{Method, StatusCode};
use serde_json::{Value, json};

use super::{
    audit,
    server::{
        Body, CLUSTER, Caller, OTHER_CLUSTER, SUBSCRIPTION, Server, body, data_plane, versioned,
        versioned_list,
    },
};

const GROUP: &str = "/subscriptions/3f1c/resourceGroups/edge";
const VERSION: &str = "api-version=2024-01-01";

fn path(cluster: &str) -> String {
    format!("{cluster}?{VERSION}")
}

fn cluster() -> Value {
    json!({
        "location": "westeurope",
        "tags": {"env": "prod"},
        "identity": {"type": "SystemAssigned"},
        "properties": {
            "agentPublicKeyCertificate": "MIIB",
            "distribution": "k3s",
            "totalNodeCount": 7,
            "provisioningState": "Failed",
            "unknown": true,
        },
    })
}

async fn with_group(server: &Server) -> Caller {
    let alice = server.contributor().await;
    let group = json!({"location": "westeurope"});
    let made = alice.put(&format!("{GROUP}?{VERSION}"), group).await;
    assert_eq!(made.status, StatusCode::CREATED);
    alice
}

#[tokio::test]
async fn a_cluster_is_made_shown_tagged_listed_and_deleted() {
    let server = Server::start().await;
    let alice = server.contributor().await;
    let path = path(CLUSTER);
    let groupless = alice.put(&path, cluster()).await;
    assert_eq!(groupless.error(), (404, "ResourceGroupNotFound"));
    let alice = with_group(&server).await;
    assert_eq!(alice.get(&path).await.error(), (404, "ResourceNotFound"));
    let created = alice.put(&path, cluster()).await;
    assert_eq!(created.status, StatusCode::CREATED, "{}", created.text);
    let shown = &created.body;
    assert_eq!(shown["id"], CLUSTER);
    assert_eq!(shown["identity"]["type"], "SystemAssigned");
    let properties = json!({
        "agentPublicKeyCertificate": "MIIB",
        "distribution": "k3s",
        "provisioningState": "Succeeded",
        "connectivityStatus": "Connecting",
    });
    assert_eq!(shown["properties"], properties);
    assert_eq!(shown["systemData"]["createdBy"], "alice");
    assert_eq!(alice.get(&path.to_lowercase()).await.body, created.body);

    let tags = Body::Json(json!({"tags": {"env": "test"}}));
    let patched = alice.send(Method::PATCH, &path, tags).await;
    assert_eq!(patched.status, StatusCode::OK, "{}", patched.text);
    assert_eq!(patched.body["tags"], json!({"env": "test"}));
    assert_eq!(patched.body["properties"], properties);
    let stale = created.body["etag"].as_str().unwrap();
    let late = alice
        .send_with(Method::PUT, &path, cluster(), &[("if-match", stale)])
        .await;
    assert_eq!(late.error(), (412, "PreconditionFailed"));
    let mut moved = cluster();
    moved["location"] = json!("eastus");
    assert_eq!(
        alice.put(&path, moved).await.error(),
        (409, "InvalidResourceLocation")
    );

    for scope in [SUBSCRIPTION, GROUP] {
        let list = format!("{scope}/providers/Microsoft.Kubernetes/connectedClusters?{VERSION}");
        assert_eq!(
            alice.pages(&list).await.0,
            std::slice::from_ref(&patched.body)
        );
    }
    assert_eq!(alice.delete(&path).await.status, StatusCode::OK);
    assert_eq!(alice.delete(&path).await.status, StatusCode::NO_CONTENT);
}

#[tokio::test]
async fn a_cluster_is_changed_and_deleted_only_as_it_was_seen() {
    let server = Server::start().await;
    let alice = with_group(&server).await;
    let path = path(CLUSTER);
    let created = alice.put(&path, cluster()).await;
    let stale = created.headers["etag"].to_str().unwrap();
    let send = async |method: Method, ring: &str, header: (&str, &str)| {
        let body = if method == Method::DELETE {
            Body::None
        } else {
            Body::Json(json!({"tags": {"ring": ring}}))
        };
        alice.send_with(method, &path, body, &[header]).await
    };
    let patched = send(Method::PATCH, "1", ("if-match", stale)).await;
    assert_eq!(patched.status, StatusCode::OK, "{}", patched.text);
    let now = patched.headers["etag"].to_str().unwrap();
    for method in [Method::PATCH, Method::DELETE] {
        for header in [("if-match", stale), ("if-none-match", now)] {
            let late = send(method.clone(), "2", header).await;
            assert_eq!(late.error(), (412, "PreconditionFailed"), "{header:?}");
        }
    }
    assert_eq!(alice.get(&path).await.body, patched.body);
    let deleted = send(Method::DELETE, "", ("if-match", now)).await;
    assert_eq!(deleted.status, StatusCode::OK, "{}", deleted.text);
}

#[tokio::test]
async fn patches_of_a_cluster_at_once_are_all_done_and_undo_nothing() {
    let server = Server::start().await;
    let alice = with_group(&server).await;
    alice.put(&path(CLUSTER), cluster()).await;
    let patches = (0..6).map(|number| {
        let alice = alice.clone();
        tokio::spawn(async move {
            let tags = json!({"tags": {"ring": number.to_string()}});
            alice.send(Method::PATCH, &path(CLUSTER), tags).await
        })
    });
    let patches: Vec<_> = patches.collect();
    let mut other = cluster();
    other["properties"]["distribution"] = json!("rke2");
    let put = alice.put(&path(CLUSTER), other).await;
    assert_eq!(put.status, StatusCode::OK, "{}", put.text);
    for patch in patches {
        let patched = patch.await.unwrap();
        assert_eq!(patched.status, StatusCode::OK, "{}", patched.text);
    }
    // A patch that was read before the PUT and written after it would bring the old one back.
    let shown = alice.get(&path(CLUSTER)).await.body;
    assert_eq!(shown["properties"]["distribution"], "rke2");
    let log = audit::log(&server, CLUSTER).await;
    let rings = |ring: &str| {
        let tagged = |after: &Value| after["tags"]["ring"] == ring;
        log.iter()
            .filter(|entry| entry.after.as_ref().is_some_and(tagged))
            .count()
    };
    for number in 0..6 {
        assert_eq!(rings(&number.to_string()), 1, "{log:?}");
    }
}

#[tokio::test]
async fn wrong_fields_of_a_cluster_are_named_at_once() {
    let server = Server::start().await;
    let alice = with_group(&server).await;
    let wrong = json!({
        "location": "westeurope", "kind": 7, "identity": {"type": "Own"},
        "properties": {"distribution": 1, "gateway": [], "arcAgentryConfigurations": {}},
    });
    let answer = alice.put(&path(CLUSTER), wrong).await;
    assert_eq!(answer.error(), (400, "InvalidRequestContent"));
    let details = answer.body["error"]["details"].as_array().unwrap();
    assert_eq!(details.len(), 5, "{}", answer.text);
    let all = json!({"location": 7, "tags": {"<": "x"}, "kind": 7});
    let answer = alice.put(&path(CLUSTER), all).await;
    assert_eq!(answer.error(), (400, "InvalidRequestContent"));
    let mut fields = answer.targets();
    fields.sort_unstable();
    assert_eq!(fields, ["kind", "location", "properties", "tags.<"]);
    let mut unplaced = cluster();
    unplaced["location"] = Value::Null;
    let answer = alice.put(&path(CLUSTER), unplaced).await;
    assert_eq!(answer.error(), (400, "LocationRequired"));
    for body in [json!([]), json!({"location": "westeurope"})] {
        let answer = alice.put(&path(CLUSTER), body).await;
        assert_eq!(answer.error(), (400, "InvalidRequestContent"));
    }
    let old = alice
        .put(&format!("{CLUSTER}?api-version=2019-01-01"), cluster())
        .await;
    assert_eq!(old.error(), (400, "NoRegisteredProviderFound"));
    assert!(old.text.contains("2026-05-01"));
}

#[tokio::test]
async fn a_cluster_is_connected_while_its_agent_calls() {
    let server = Server::start().await;
    let (alice, agent) = (with_group(&server).await, server.agent(CLUSTER).await);
    alice.put(&path(CLUSTER), cluster()).await;
    agent
        .send_with(
            Method::GET,
            &data_plane(CLUSTER),
            Body::None,
            &[("user-agent", "gitmoor/1.2.3")],
        )
        .await;
    let seen = alice.get(&path(CLUSTER)).await.body["properties"].clone();
    assert_eq!(seen["connectivityStatus"], "Connected");
    assert_eq!(seen["agentVersion"], "1.2.3");
    assert!(seen["lastConnectivityTime"].is_string());

    // It is written when the portal ends.
    let server = Server::start_in(server.stop().await, |_| {}).await;
    let alice = server.contributor().await;
    let again = alice.get(&path(CLUSTER)).await.body["properties"].clone();
    assert_eq!(again, seen);
}

#[tokio::test]
async fn what_belongs_to_a_cluster_goes_with_it_and_with_its_group() {
    let server = Server::start().await;
    let alice = with_group(&server).await;
    let url = "https://git.example.net/blue.git";
    for cluster_id in [CLUSTER, OTHER_CLUSTER] {
        alice.put(&path(cluster_id), cluster()).await;
        alice.put(&versioned(cluster_id, "blue"), body(url)).await;
    }
    let apart = OTHER_CLUSTER.replace("edge/", "edge-2/");
    alice.put(&versioned(&apart, "blue"), body(url)).await;
    let count = async |cluster: &str| alice.pages(&versioned_list(cluster)).await.0.len();
    alice.delete(&path(CLUSTER)).await;
    assert_eq!((count(CLUSTER).await, count(OTHER_CLUSTER).await), (0, 1));
    alice.delete(&format!("{GROUP}?{VERSION}")).await;
    assert_eq!((count(OTHER_CLUSTER).await, count(&apart).await), (0, 1));
    assert_eq!(
        alice.get(&path(OTHER_CLUSTER)).await.status,
        StatusCode::NOT_FOUND
    );
}

#[tokio::test]
async fn configurations_go_also_with_a_cluster_or_a_group_that_nobody_registered() {
    let server = Server::start().await;
    let alice = server.contributor().await;
    let url = "https://git.example.net/blue.git";
    let group = format!("{GROUP}?{VERSION}");
    for path in [path(CLUSTER), group] {
        alice.put(&versioned(CLUSTER, "blue"), body(url)).await;
        assert_eq!(alice.delete(&path).await.status, StatusCode::OK, "{path}");
        let shown = alice.get(&versioned(CLUSTER, "blue")).await;
        assert_eq!(shown.status, StatusCode::NOT_FOUND, "{path}");
    }
    let again = alice.delete(&path(CLUSTER)).await;
    assert_eq!(again.status, StatusCode::NO_CONTENT);
}

#[tokio::test]
async fn a_group_that_is_deleted_while_clusters_come_takes_them_along_or_refuses_them() {
    let server = Server::start().await;
    for _ in 0..10 {
        let alice = with_group(&server).await;
        let (tags, group) = (path(GROUP), format!("{GROUP}?{VERSION}"));
        let patch = Body::Json(json!({"tags": {"a": "b"}}));
        let (one, other) = (path(CLUSTER), path(OTHER_CLUSTER));
        let (put, deleted, late, patched) = tokio::join!(
            alice.put(&one, cluster()),
            alice.delete(&group),
            alice.put(&other, cluster()),
            alice.send(Method::PATCH, &tags, patch)
        );
        assert_eq!(deleted.status, StatusCode::OK, "{}", deleted.text);
        for put in [put, late] {
            let well = [StatusCode::CREATED, StatusCode::NOT_FOUND];
            assert!(well.contains(&put.status), "{}", put.text);
        }
        let well = [StatusCode::OK, StatusCode::NOT_FOUND];
        assert!(well.contains(&patched.status), "{}", patched.text);
        for path in [&group, &one, &other] {
            assert_eq!(alice.get(path).await.status, StatusCode::NOT_FOUND);
        }
    }
}

#[tokio::test]
async fn resources_are_listed_in_pages_and_filtered_and_only_those_that_are_seen() {
    let server =
        Server::start_with(|settings| settings.limits.page_size = 2.try_into().unwrap()).await;
    let alice = with_group(&server).await;
    for number in 0..5 {
        let mut body = cluster();
        body["tags"] = json!({"ring": number.to_string()});
        let id = CLUSTER.replace("edge-07", &format!("c{number}"));
        assert_eq!(
            alice.put(&path(&id), body).await.status,
            StatusCode::CREATED
        );
    }
    let arm = "api-version=2022-12-01";
    let (all, sizes) = alice
        .pages(&format!("{SUBSCRIPTION}/resources?{arm}"))
        .await;
    assert_eq!((all.len(), sizes), (5, vec![2, 2, 1]));
    assert_eq!(all[0]["type"], "Microsoft.Kubernetes/connectedClusters");
    for (filter, wanted) in [
        (
            "resourceType eq 'Microsoft.Kubernetes/connectedClusters'",
            5,
        ),
        ("resourceGroup eq 'EDGE' and name eq 'c3'", 1),
        ("resourceGroup eq 'other'", 0),
        ("tagName eq 'ring' and tagValue eq '4'", 1),
    ] {
        let filter = filter.replace(' ', "%20").replace('\'', "%27");
        let list = format!("{SUBSCRIPTION}/resources?$filter={filter}&{arm}");
        assert_eq!(alice.pages(&list).await.0.len(), wanted, "{filter}");
    }
    let strange = alice
        .get(&format!("{GROUP}/resources?$filter=x&{arm}"))
        .await;
    assert_eq!(strange.error(), (400, "InvalidFilterInQueryString"));

    let one = CLUSTER.replace("edge-07", "c3");
    let reader = server.principal(&one, Role::Reader).await;
    let (seen, sizes) = reader.pages(&format!("{GROUP}/resources?{arm}")).await;
    assert_eq!((seen.len(), sizes), (1, vec![1]));
    assert_eq!(seen[0]["id"], one);
}

#[tokio::test]
async fn no_page_tells_the_ids_of_clusters_that_the_caller_may_not_read() {
    let server =
        Server::start_with(|settings| settings.limits.page_size = 1.try_into().unwrap()).await;
    let alice = with_group(&server).await;
    let named = |name: &str| CLUSTER.replace("edge-07", name);
    for name in ["a", "hidden-1", "hidden-2", "z"] {
        let made = alice.put(&path(&named(name)), cluster()).await;
        assert_eq!(made.status, StatusCode::CREATED);
    }
    let secret = server
        .store
        .create_principal("bob", &named("a").parse().unwrap(), Role::Reader)
        .await
        .unwrap();
    let last = named("z").parse().unwrap();
    let store = &server.store;
    store
        .assign_role(secret.id(), Role::Reader, &last)
        .await
        .unwrap();
    let reader = server.caller(&server.token_of(secret.id()).await);
    let lists = [
        format!("{GROUP}/providers/Microsoft.Kubernetes/connectedClusters?{VERSION}"),
        format!("{SUBSCRIPTION}/resources?api-version=2022-12-01"),
    ];
    for list in lists {
        let (seen, sizes) = reader.pages(&list).await;
        assert_eq!((seen.len(), sizes), (2, vec![1, 1]), "{list}");
        // Wherever a page begins, and where the next one does.
        for after in ["", "a", "hidden-0", "hidden-1", "y"] {
            let skip = named(after).to_lowercase();
            let answer = reader.get(&format!("{list}&$skipToken={skip}")).await;
            assert_eq!(answer.status, StatusCode::OK, "{}", answer.text);
            let told = answer.body.to_string();
            assert!(!told.contains("hidden"), "after {after}: {told}");
        }
    }
}

#[tokio::test]
async fn what_changes_between_two_pages_costs_no_other_item() {
    let server =
        Server::start_with(|settings| settings.limits.page_size = 2.try_into().unwrap()).await;
    let alice = with_group(&server).await;
    let named = |name: &str| CLUSTER.replace("edge-07", name);
    for name in ["b", "d", "f", "h"] {
        alice.put(&path(&named(name)), cluster()).await;
        alice
            .put(&versioned(CLUSTER, name), body("https://git.example.net/x"))
            .await;
    }
    let clusters = format!("{GROUP}/providers/Microsoft.Kubernetes/connectedClusters?{VERSION}");
    let mut next = Vec::new();
    for list in [clusters, versioned_list(CLUSTER)] {
        let first = alice.get(&list).await;
        let link = first.body["nextLink"].as_str().unwrap().to_owned();
        next.push(link.strip_prefix(&server.url).unwrap().to_owned());
    }
    // Before, at and behind the place where the page ended.
    for name in ["b", "d"] {
        alice.delete(&path(&named(name))).await;
        alice.delete(&versioned(CLUSTER, name)).await;
    }
    for name in ["a", "e"] {
        alice.put(&path(&named(name)), cluster()).await;
        alice
            .put(&versioned(CLUSTER, name), body("https://git.example.net/x"))
            .await;
    }
    for link in next {
        let (rest, _) = alice.pages(&link).await;
        let names: Vec<_> = rest.iter().map(|item| item["name"].as_str()).collect();
        assert_eq!(names, [Some("e"), Some("f"), Some("h")]);
    }
}

#[tokio::test]
async fn tags_are_looked_for_by_name_and_value_together() {
    let server = Server::start().await;
    let alice = with_group(&server).await;
    let tagged = |tags: Value| json!({"location": "westeurope", "tags": tags});
    let group = |name: &str| format!("{}?{VERSION}", GROUP.replace("edge", name));
    alice
        .put(
            &group("one"),
            tagged(json!({"env": "prod", "ring": "it's"})),
        )
        .await;
    alice
        .put(&group("two"), tagged(json!({"env": "test"})))
        .await;
    for (filter, wanted) in [
        ("tagname eq 'env' and tagvalue eq 'prod'", vec!["one"]),
        ("tagname eq 'env'", vec!["one", "two"]),
        ("tagname eq 'ring' and tagvalue eq 'it''s'", vec!["one"]),
        ("tagname eq 'ring' and tagvalue eq 'prod'", vec![]),
    ] {
        let filter = filter.replace(' ', "%20").replace('\'', "%27");
        let list = format!("{SUBSCRIPTION}/resourcegroups?$filter={filter}&{VERSION}");
        let (found, _) = alice.pages(&list).await;
        let names: Vec<_> = found
            .iter()
            .map(|one| one["name"].as_str().unwrap())
            .collect();
        assert_eq!(names, wanted, "{filter}");
    }
    let strange = format!("{SUBSCRIPTION}/resourcegroups?$filter=x&{VERSION}");
    let refused = alice.get(&strange).await;
    assert_eq!(refused.error(), (400, "InvalidFilterInQueryString"));
}

#[tokio::test]
async fn a_cluster_that_is_put_as_it_was_is_left_as_it_is() {
    let server = Server::start().await;
    let alice = with_group(&server).await;
    let created = alice.put(&path(CLUSTER), cluster()).await;
    let entries = async || audit::log(&server, SUBSCRIPTION).await.len();
    let before = entries().await;
    let again = alice.put(&path(CLUSTER), cluster()).await;
    assert_eq!((again.status, &again.body), (StatusCode::OK, &created.body));
    let group = json!({"location": "westeurope"});
    let group = alice.put(&format!("{GROUP}?{VERSION}"), group).await;
    assert_eq!(group.status, StatusCode::OK);
    assert_eq!(entries().await, before);
}

#[tokio::test]
async fn a_location_is_the_same_whatever_its_case_and_blanks() {
    let server = Server::start().await;
    let alice = server.contributor().await;
    let group = format!("{GROUP}?{VERSION}");
    for path in [&group, &path(CLUSTER)] {
        let mut body = cluster();
        for (location, status) in [
            ("West Europe", 201),
            ("westeurope", 200),
            ("WEST EUROPE", 200),
            ("West Europe 2", 409),
        ] {
            body["location"] = json!(location);
            let put = alice.put(path, body.clone()).await;
            assert_eq!(put.status, status, "{path} in {location}: {}", put.text);
        }
        assert_eq!(alice.get(path).await.body["location"], "West Europe");
    }
    for (location, wanted) in [("westeurope", 1), ("West%20Europe", 1), ("eastus", 0)] {
        let filter = format!("location%20eq%20'{location}'");
        let list = format!("{GROUP}/resources?$filter={filter}&api-version=2022-12-01");
        assert_eq!(alice.pages(&list).await.0.len(), wanted, "{location}");
    }
}

#[tokio::test]
async fn a_group_whose_tags_are_as_they_were_is_left_as_it_is() {
    let server = Server::start().await;
    let alice = with_group(&server).await;
    let group = format!("{GROUP}?{VERSION}");
    for _ in 0..2 {
        let tags = Body::Json(json!({"tags": {"site": "oslo"}}));
        let patched = alice.send(Method::PATCH, &group, tags).await;
        assert_eq!(patched.status, StatusCode::OK, "{}", patched.text);
        assert_eq!(patched.body["tags"], json!({"site": "oslo"}));
    }
    // That it was made, and that it was tagged.
    assert_eq!(audit::log(&server, GROUP).await.len(), 2);
}

#[tokio::test]
async fn a_cluster_has_no_extensions() {
    let server = Server::start().await;
    let alice = server.contributor().await;
    let list = format!(
        "{CLUSTER}/providers/Microsoft.KubernetesConfiguration/extensions?api-version=2022-07-01"
    );
    assert_eq!(
        alice.get(&list).await.body,
        json!({"value": [], "nextLink": null})
    );
}
