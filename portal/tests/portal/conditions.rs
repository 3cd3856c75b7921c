//! Etags: who writes what was changed since it was read is told so.

use gitmoor_portal::identity::Role;
use reqwest::{Method, StatusCode};
use serde_json::{Value, json};
use uuid::Uuid;

use super::server::{Answer, Body, CLUSTER, Caller, Server, body, versioned};

const GROUP: &str = "/subscriptions/3f1c/resourceGroups/edge?api-version=2022-12-01";

fn url(number: usize) -> String {
    format!("https://git.example.net/{number}.git")
}

async fn put(alice: &Caller, number: usize, header: (&str, &str)) -> Answer {
    let body = Body::Json(body(&url(number)));
    let path = versioned(CLUSTER, "blue");
    alice.send_with(Method::PUT, &path, body, &[header]).await
}

fn etag(answer: &Answer) -> String {
    let header = answer.headers["etag"].to_str().unwrap().to_owned();
    let field = answer.body["etag"].as_str().unwrap();
    assert_eq!(header, format!("\"{field}\""));
    header
}

#[tokio::test]
async fn a_write_whose_condition_does_not_hold_changes_nothing() {
    let server = Server::start().await;
    let alice = server.contributor().await;
    let path = versioned(CLUSTER, "blue");
    let missing = put(&alice, 0, ("if-match", "*")).await;
    assert_eq!(missing.error(), (412, "PreconditionFailed"));
    let created = put(&alice, 0, ("if-none-match", "*")).await;
    assert_eq!(created.status, StatusCode::CREATED);
    let first = etag(&created);
    let again = put(&alice, 1, ("if-none-match", "*")).await;
    assert_eq!(again.error(), (412, "PreconditionFailed"));

    let replaced = put(&alice, 1, ("if-match", &first)).await;
    assert_eq!(replaced.status, StatusCode::OK, "{}", replaced.text);
    let second = etag(&replaced);
    assert_ne!(first, second);
    for (name, value) in [("if-match", first.as_str()), ("if-none-match", &second)] {
        let late = put(&alice, 2, (name, value)).await;
        assert_eq!(late.error(), (412, "PreconditionFailed"), "{name}");
        let late = alice
            .send_with(Method::DELETE, &path, Body::None, &[(name, value)])
            .await;
        assert_eq!(late.error(), (412, "PreconditionFailed"), "{name}");
    }
    let shown = alice.get(&path).await;
    assert_eq!(etag(&shown), second);
    assert_eq!(shown.body["properties"]["repositoryUrl"], url(1));

    let refused = put(&alice, 2, ("if-match", "")).await;
    assert_eq!(refused.error(), (400, "InvalidHeaderValue"));
    let either = format!("{first}, W/{second}");
    let deleted = alice
        .send_with(Method::DELETE, &path, Body::None, &[("if-match", &either)])
        .await;
    assert_eq!(deleted.status, StatusCode::OK);
    let gone = alice
        .send_with(Method::DELETE, &path, Body::None, &[("if-match", "*")])
        .await;
    assert_eq!(gone.error(), (412, "PreconditionFailed"));
}

#[tokio::test]
async fn of_writers_who_read_the_same_one_wins() {
    let server = Server::start().await;
    let alice = server.contributor().await;
    let seen = etag(&alice.put(&versioned(CLUSTER, "blue"), body(&url(0))).await);
    let writes = (1..9).map(|number| {
        let (alice, seen) = (alice.clone(), seen.clone());
        tokio::spawn(async move { put(&alice, number, ("if-match", &seen)).await.status })
    });
    let mut won = 0;
    for write in writes.collect::<Vec<_>>() {
        match write.await.unwrap() {
            StatusCode::OK => won += 1,
            status => assert_eq!(status, StatusCode::PRECONDITION_FAILED),
        }
    }
    assert_eq!(won, 1);
}

/// The same of what has none among its fields.
fn header(answer: &Answer) -> String {
    assert_eq!(answer.body["etag"], Value::Null, "{}", answer.text);
    answer.headers["etag"].to_str().unwrap().to_owned()
}

#[tokio::test]
async fn a_group_has_an_etag_and_is_written_only_as_it_was_seen() {
    let server = Server::start().await;
    let alice = server.contributor().await;
    let send = async |method: &Method, tags: Value, header: (&str, &str)| {
        let body = json!({"location": "oslo", "tags": tags});
        let body = if *method == Method::DELETE {
            Body::None
        } else {
            Body::Json(body)
        };
        alice
            .send_with(method.clone(), GROUP, body, &[header])
            .await
    };
    let writes = [Method::PUT, Method::PATCH, Method::DELETE];
    let missing = send(&Method::PUT, json!({}), ("if-match", "*")).await;
    assert_eq!(missing.error(), (412, "PreconditionFailed"));
    let created = send(&Method::PUT, json!({}), ("if-none-match", "*")).await;
    assert_eq!(created.status, StatusCode::CREATED, "{}", created.text);
    let mut seen = header(&created);
    for (method, tags) in [
        (Method::PUT, json!({"ring": "1"})),
        (Method::PATCH, json!({"ring": "2"})),
    ] {
        let done = send(&method, tags.clone(), ("if-match", &seen)).await;
        assert_eq!(done.status, StatusCode::OK, "{}", done.text);
        assert_eq!(done.body["tags"], tags);
        let now = header(&done);
        assert_ne!(now, seen);
        for shown in [Method::GET, Method::HEAD] {
            let shown = alice.send(shown, GROUP, Body::None).await;
            assert_eq!(header(&shown), now);
        }
        for late in &writes {
            for condition in [("if-match", seen.as_str()), ("if-none-match", &now)] {
                let late = send(late, json!({"ring": "3"}), condition).await;
                assert_eq!(late.error(), (412, "PreconditionFailed"), "{condition:?}");
            }
        }
        assert_eq!(alice.get(GROUP).await.body, done.body);
        seen = now;
    }
    for method in &writes {
        let refused = send(method, json!({}), ("if-match", "")).await;
        assert_eq!(refused.error(), (400, "InvalidHeaderValue"));
    }
    let deleted = send(&Method::DELETE, json!({}), ("if-match", &seen)).await;
    assert_eq!(deleted.status, StatusCode::OK, "{}", deleted.text);
    let gone = send(&Method::DELETE, json!({}), ("if-match", "*")).await;
    assert_eq!(gone.error(), (412, "PreconditionFailed"));
}

#[tokio::test]
async fn a_role_has_an_etag_and_is_given_and_taken_only_as_it_was_seen() {
    let server = Server::start().await;
    let root = server.principal("/", Role::Owner).await;
    let scope = "/subscriptions/elsewhere".parse().unwrap();
    let bob = server.store.create_principal("bob", &scope, Role::Reader);
    let role = json!({"properties": {
        "roleDefinitionId": "/providers/Microsoft.Authorization/roleDefinitions/acdd72a7-3385-48ef-bd42-f606fba81ae7",
        "principalId": bob.await.unwrap().id(),
    }});
    let path = |name: Uuid| {
        format!(
            "{CLUSTER}/providers/Microsoft.Authorization/roleAssignments/{name}?api-version=2022-04-01"
        )
    };
    let (one, other) = (path(Uuid::new_v4()), path(Uuid::new_v4()));
    let put = async |header: (&str, &str)| {
        let body = Body::Json(role.clone());
        root.send_with(Method::PUT, &one, body, &[header]).await
    };
    let delete = async |path: &str, header: (&str, &str)| {
        root.send_with(Method::DELETE, path, Body::None, &[header])
            .await
    };
    let missing = put(("if-match", "*")).await;
    assert_eq!(missing.error(), (412, "PreconditionFailed"));
    let created = put(("if-none-match", "*")).await;
    assert_eq!(created.status, StatusCode::CREATED, "{}", created.text);
    let seen = header(&created);
    assert_eq!(header(&root.get(&one).await), seen);
    let same = put(("if-match", &seen)).await;
    assert_eq!((same.status, header(&same)), (StatusCode::OK, seen.clone()));
    for condition in [("if-match", "\"other\""), ("if-none-match", &seen)] {
        for late in [put(condition).await, delete(&one, condition).await] {
            assert_eq!(late.error(), (412, "PreconditionFailed"), "{condition:?}");
        }
    }
    let elsewhere = delete(&other, ("if-match", "*")).await;
    assert_eq!(elsewhere.error(), (412, "PreconditionFailed"));
    let deleted = delete(&one, ("if-match", &seen)).await;
    assert_eq!(deleted.status, StatusCode::OK, "{}", deleted.text);
    let gone = delete(&one, ("if-match", "*")).await;
    assert_eq!(gone.error(), (412, "PreconditionFailed"));
    // Another one has another.
    root.put(&other, role.clone()).await;
    assert_ne!(header(&root.get(&other).await), seen);
}
