//! Etags: who writes what was changed since it was read is told so.

use reqwest::{Method, StatusCode};

use super::server::{Answer, Body, CLUSTER, Caller, Server, body, versioned};

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
