//! Where tokens come from, and where they never go.

use std::time::Duration;

use gitmoor_arm::{
    Credential, Error, ManagedIdentity, Retry, ServicePrincipal, Settings, WorkloadIdentity,
};
use serde_json::json;

use super::server::{Files, Server, client, json_answer, page, settings, text_answer, with_header};

/// How often a condition is looked at.
const POLL: Duration = Duration::from_millis(20);

/// A server that gives tokens `token-0`, `token-1`, … and lists that are empty.
async fn both(expires_in: serde_json::Value) -> Server {
    let counter = std::sync::atomic::AtomicUsize::new(0);
    let counter = std::sync::Arc::new(counter);
    Server::start(move |_, asked| {
        if asked.path.ends_with("/token") {
            let number = counter.fetch_add(1, std::sync::atomic::Ordering::SeqCst);
            return json_answer(200, &json!({"token_type": "Bearer", "expires_in": expires_in, "access_token": format!("token-{number}")}));
        }
        page(&[], None)
    })
    .await
}

fn service_principal(server: &Server, files: &Files) -> Settings {
    let mut settings = settings(server, files);
    settings.credential = Credential::ServicePrincipal(ServicePrincipal {
        tenant_id: "contoso".into(),
        client_id: "edge".into(),
        client_secret_file: files.write("secret", "s3cr3t&=\n"),
        authority: format!("{}/adfs", server.url).parse().unwrap(),
    });
    settings
}

fn token_requests(server: &Server) -> usize {
    server
        .asked()
        .iter()
        .filter(|asked| asked.path.ends_with("/token"))
        .count()
}

#[tokio::test]
async fn a_token_file_is_read_for_every_request() {
    let server = Server::start(|_, _| page(&[], None)).await;
    let files = Files::new();
    let client = client(&settings(&server, &files));
    client.list().await.unwrap();
    files.write("token", "second-token");
    client.list().await.unwrap();
    let sent: Vec<_> = server
        .asked()
        .into_iter()
        .map(|asked| asked.authorization)
        .collect();
    assert_eq!(sent, ["Bearer first-token", "Bearer second-token"]);
    for bad in ["", "two\nlines", "\u{7f}"] {
        files.write("token", bad);
        let error = client.list().await.unwrap_err();
        assert_eq!(error.reason(), "CredentialUnreadable", "{bad:?}");
    }
    assert_eq!(server.asked().len(), 2);
}

#[tokio::test]
async fn a_service_principal_gets_a_token_once_and_keeps_it() {
    let server = both(json!(3600)).await;
    let files = Files::new();
    let mut settings = service_principal(&server, &files);
    settings.audience = "https://arm.example.net/".into();
    let client = client(&settings);
    let (a, b, c) = tokio::join!(client.list(), client.list(), client.list());
    a.and(b).and(c).unwrap();
    let asked = server.asked();
    assert_eq!(token_requests(&server), 1);
    assert_eq!(asked[0].path, "/adfs/contoso/oauth2/v2.0/token");
    assert_eq!(
        asked[0].body,
        "grant_type=client_credentials&client_id=edge&client_secret=s3cr3t%26%3D&scope=https%3A%2F%2Farm.example.net%2F.default"
    );
    assert!(
        asked[1..]
            .iter()
            .all(|asked| asked.authorization == "Bearer token-0")
    );
}

#[tokio::test]
async fn a_token_is_renewed_before_it_expires() {
    let server = both(json!(2)).await;
    let files = Files::new();
    let client = client(&service_principal(&server, &files));
    client.list().await.unwrap();
    let start = std::time::Instant::now();
    while token_requests(&server) < 2 {
        tokio::time::sleep(POLL).await;
        assert!(
            start.elapsed() < Duration::from_secs(2),
            "not renewed within its life"
        );
        client.list().await.unwrap();
    }
}

#[tokio::test]
async fn a_workload_identity_sends_its_assertion() {
    let server = both(json!(3600)).await;
    let files = Files::new();
    let mut settings = settings(&server, &files);
    settings.credential = Credential::WorkloadIdentity(WorkloadIdentity {
        tenant_id: "contoso".into(),
        client_id: "edge".into(),
        federated_token_file: files.write("assertion", "ey.J.x"),
        authority: server.url.parse().unwrap(),
    });
    client(&settings).list().await.unwrap();
    let asked = server.asked();
    assert_eq!(asked[0].path, "/contoso/oauth2/v2.0/token");
    assert!(asked[0].body.contains("client_assertion=ey.J.x"));
    assert!(asked[0].body.contains(
        "client_assertion_type=urn%3Aietf%3Aparams%3Aoauth%3Aclient-assertion-type%3Ajwt-bearer"
    ));
    assert_eq!(asked[1].authorization, "Bearer token-0");
}

#[tokio::test]
async fn a_managed_identity_asks_the_machine() {
    let metadata = Server::start_plain(|_, _| {
        json_answer(
            200,
            &json!({"access_token": "machine", "expires_in": "3599", "expires_on": "1700000000"}),
        )
    })
    .await;
    let server = both(json!(1)).await;
    let files = Files::new();
    let mut settings = settings(&server, &files);
    settings.credential = Credential::ManagedIdentity(ManagedIdentity {
        client_id: Some("edge".into()),
        endpoint: format!("{}/metadata/identity/oauth2/token", metadata.url)
            .parse()
            .unwrap(),
    });
    let client = client(&settings);
    client.list().await.unwrap();
    client.list().await.unwrap();
    let asked = metadata.asked();
    assert_eq!(asked.len(), 1);
    assert!(asked[0].metadata);
    assert_eq!(
        asked[0].query,
        "api-version=2018-02-01&resource=https%3A%2F%2Fmanagement.azure.com%2F&client_id=edge"
    );
    assert_eq!(server.asked()[1].authorization, "Bearer machine");
}

#[tokio::test]
async fn a_refused_token_is_renewed_once() {
    let server = Server::start(|_, asked| {
        if asked.path.ends_with("/token") {
            let fresh = if asked.body.contains("rotated") {
                "good"
            } else {
                "revoked"
            };
            return json_answer(200, &json!({"access_token": fresh, "expires_in": 3600}));
        }
        match asked.authorization.as_str() {
            "Bearer good" => page(&["a"], None),
            _ => text_answer(401, ""),
        }
    })
    .await;
    let files = Files::new();
    let client = client(&service_principal(&server, &files));
    let error = client.list().await.unwrap_err();
    assert_eq!(
        (error.reason(), error.retry()),
        ("Unauthorized", Retry::OnChange)
    );
    // The same token again: it is not sent twice.
    assert_eq!((token_requests(&server), server.asked().len()), (2, 3));

    files.write("secret", "rotated");
    assert_eq!(client.list().await.unwrap().len(), 1);
    assert_eq!((token_requests(&server), server.asked().len()), (3, 6));
}

#[tokio::test]
async fn a_token_that_is_still_good_bridges_an_outage_of_its_giver() {
    let server = Server::start(
        |number, asked| match (number, asked.path.ends_with("/token")) {
            (0, _) => json_answer(200, &json!({"access_token": "t", "expires_in": 4})),
            (_, true) => text_answer(500, ""),
            (_, false) => page(&[], None),
        },
    )
    .await;
    let files = Files::new();
    let client = client(&service_principal(&server, &files));
    let start = std::time::Instant::now();
    while token_requests(&server) < 2 {
        tokio::time::sleep(POLL).await;
        assert!(
            start.elapsed() < Duration::from_secs(4),
            "not renewed within its life"
        );
        client.list().await.unwrap();
    }
    // Past its life there is no token; until then every list succeeded.
    let error = loop {
        tokio::time::sleep(POLL).await;
        match client.list().await {
            Ok(_) => assert!(start.elapsed() < Duration::from_secs(30)),
            Err(error) => break error,
        }
    };
    assert!(start.elapsed() >= Duration::from_secs(4));
    assert_eq!(
        (error.reason(), error.retry()),
        ("CredentialRefused", Retry::Later)
    );
}

#[tokio::test]
async fn a_refused_credential_is_explained_without_its_secret() {
    let refusal = json!({"error": "invalid_client", "error_description": "the secret s3cr3t&= is wrong\nTrace: 1"});
    let cases = [
        (
            json_answer(401, &refusal),
            "CredentialRefused",
            Retry::OnChange,
        ),
        (
            text_answer(200, r#"{"expires_in": 5}"#),
            "TokenMalformed",
            Retry::Later,
        ),
        (
            text_answer(200, r#"{"access_token": "a\nb", "expires_in": 5}"#),
            "TokenMalformed",
            Retry::Later,
        ),
        (
            text_answer(200, r#"{"access_token": "a", "expires_in": "soon"}"#),
            "TokenMalformed",
            Retry::Later,
        ),
        (
            with_header(text_answer(429, ""), "retry-after", "7"),
            "Throttled",
            Retry::Later,
        ),
    ];
    for (answer, reason, retry) in cases {
        let server = Server::answering([answer]).await;
        let files = Files::new();
        let error = client(&service_principal(&server, &files))
            .list()
            .await
            .unwrap_err();
        assert_eq!((error.reason(), error.retry()), (reason, retry));
        assert_eq!(
            error.retry_after(),
            (reason == "Throttled").then_some(Duration::from_secs(7))
        );
        let shown = format!("{error:?}");
        assert!(!shown.contains("s3cr3t"), "{shown}");
        if let Error::Token(error) = error
            && reason == "CredentialRefused"
        {
            assert!(
                error
                    .to_string()
                    .ends_with("401 invalid_client: the secret *** is wrong"),
                "{error}"
            );
        }
    }
}

#[tokio::test]
async fn nothing_prints_a_token() {
    let server = both(json!(3600)).await;
    let files = Files::new();
    let client = client(&service_principal(&server, &files));
    client.list().await.unwrap();
    let shown = format!("{client:?}");
    assert!(shown.contains("***"));
    assert!(
        !shown.contains("token-0") && !shown.contains("s3cr3t"),
        "{shown}"
    );
}
