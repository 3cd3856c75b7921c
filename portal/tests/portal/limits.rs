//! What a caller may not do to the portal: send too much, too slowly, or too many at once.

use std::{future::pending, io, sync::Arc, time::Duration};

use gitmoor_portal::identity::Role;
use reqwest::{Method, StatusCode};
use rustls::{ClientConfig, RootCertStore, crypto::ring, pki_types::CertificateDer};
use rustls_pki_types::pem::PemObject as _;
use serde_json::json;
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _, split},
    net::TcpStream,
};
use tokio_rustls::{TlsConnector, client::TlsStream};

use super::{
    page::browser::Browser,
    server::{
        Body, CLUSTER, OTHER_CLUSTER, SUBSCRIPTION, Server, body, client, data_plane, versioned,
        versioned_list, within,
    },
};

const URL: &str = "https://git.example.net/blue/deploy.git";

/// A TLS connection on which a test says what it likes.
async fn connect(server: &Server, protocol: &[u8]) -> TlsStream<TcpStream> {
    let ca = CertificateDer::from_pem_slice(server.ca.as_deref().unwrap().as_bytes()).unwrap();
    let mut roots = RootCertStore::empty();
    roots.add(ca).unwrap();
    let mut config = ClientConfig::builder_with_provider(Arc::new(ring::default_provider()))
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_root_certificates(roots)
        .with_no_client_auth();
    config.alpn_protocols = vec![protocol.to_vec()];
    let stream = TcpStream::connect(server.address).await.unwrap();
    TlsConnector::from(Arc::new(config))
        .connect("localhost".try_into().unwrap(), stream)
        .await
        .unwrap()
}

#[tokio::test]
async fn a_body_that_is_too_large_is_refused_and_the_portal_goes_on() {
    let server = Server::start().await;
    let (alice, agent) = (server.contributor().await, server.agent(CLUSTER).await);
    let path = versioned(CLUSTER, "blue");
    alice.put(&path, body(URL)).await;
    let large = vec![b' '; 8 * 1024 * 1024];
    let status = format!("{}/blue/status", data_plane(CLUSTER));
    for answer in [
        alice.put(&path, large.clone()).await,
        agent.put(&status, large.clone()).await,
        alice.send(Method::POST, "/adfs/oauth2/token", large).await,
    ] {
        assert_eq!(answer.error(), (413, "RequestContentTooLarge"));
    }
    assert_eq!(alice.get(&path).await.status, StatusCode::OK);
}

#[tokio::test]
async fn a_body_that_goes_on_without_end_is_refused_when_it_is_too_large() {
    let server = Server::start().await;
    let token = server.token("bob", SUBSCRIPTION, Role::Contributor).await;
    let put = format!(
        "PUT {} HTTP/1.1\r\nauthorization: Bearer {}",
        versioned(CLUSTER, "blue"),
        token.expose()
    );
    for head in [put.as_str(), "POST /adfs/oauth2/token HTTP/1.1"] {
        let mut stream = connect(&server, b"http/1.1").await;
        let head = format!("{head}\r\nhost: portal\r\ntransfer-encoding: chunked\r\n\r\n");
        stream.write_all(head.as_bytes()).await.unwrap();
        let (mut reader, mut writer) = split(stream);
        let part = format!("10000\r\n{}\r\n", " ".repeat(0x10000));
        let sends = async {
            while writer.write_all(part.as_bytes()).await.is_ok() {}
            pending().await
        };
        let mut answer = [0; 12];
        tokio::select! {
            () = sends => {}
            read = within(reader.read_exact(&mut answer)) => drop(read.unwrap()),
        }
        assert_eq!(&answer, b"HTTP/1.1 413");
    }
}

#[tokio::test]
async fn a_body_without_a_token_is_not_read() {
    let server = Server::start().await;
    let mut stream = connect(&server, b"http/1.1").await;
    let head = format!(
        "PUT {} HTTP/1.1\r\nhost: portal\r\ncontent-length: 100000\r\n\r\n",
        versioned(CLUSTER, "blue")
    );
    stream.write_all(head.as_bytes()).await.unwrap();
    let mut answer = [0; 12];
    within(stream.read_exact(&mut answer)).await.unwrap();
    assert_eq!(&answer, b"HTTP/1.1 401");
}

#[tokio::test]
async fn a_connection_goes_on_after_a_body_that_was_not_asked_for() {
    let server = Server::start().await;
    let mut stream = connect(&server, b"http/1.1").await;
    let head = format!(
        "PUT {} HTTP/1.1\r\nhost: portal\r\ncontent-length: 10\r\n\r\n",
        versioned(CLUSTER, "blue")
    );
    stream.write_all(head.as_bytes()).await.unwrap();
    let mut answer = [0; 12];
    within(stream.read_exact(&mut answer)).await.unwrap();
    assert_eq!(&answer, b"HTTP/1.1 401");
    let next = "GET /healthz HTTP/1.1\r\nhost: portal\r\nconnection: close\r\n\r\n";
    let rest = format!("0123456789{next}");
    stream.write_all(rest.as_bytes()).await.unwrap();
    let mut rest = String::new();
    within(stream.read_to_string(&mut rest)).await.unwrap();
    assert!(rest.contains("HTTP/1.1 200"), "{rest}");
}

#[tokio::test]
async fn a_body_that_never_ends_is_given_up() {
    let server =
        Server::start_with(|settings| settings.limits.request_seconds = 1.try_into().unwrap())
            .await;
    let token = server.token("slow", SUBSCRIPTION, Role::Contributor).await;
    let mut stream = connect(&server, b"http/1.1").await;
    let head = format!(
        "PUT {} HTTP/1.1\r\nhost: portal\r\nauthorization: Bearer {}\r\ncontent-length: 1000\r\n\r\n{{",
        versioned(CLUSTER, "blue"),
        token.expose()
    );
    stream.write_all(head.as_bytes()).await.unwrap();
    let mut answer = [0; 12];
    within(stream.read_exact(&mut answer)).await.unwrap();
    assert_eq!(&answer, b"HTTP/1.1 408");
}

/// A request whose body does not come to its end.
async fn hang(server: &Server, head: &str, sent: &[u8]) -> TlsStream<TcpStream> {
    let mut stream = connect(server, b"http/1.1").await;
    let head = format!("{head}\r\nhost: portal\r\ncontent-length: 2000000\r\n\r\n");
    stream.write_all(head.as_bytes()).await.unwrap();
    stream.write_all(sent).await.unwrap();
    stream
}

#[tokio::test]
async fn bodies_that_do_not_come_keep_nobody_out() {
    let server = Server::start_with(|settings| settings.limits.requests = few(2)).await;
    let scope = SUBSCRIPTION.parse().unwrap();
    let bobs = server.store.create_principal("bob", &scope, Role::Reader);
    let bobs = bobs.await.unwrap();
    let mut hanging = Vec::new();
    for _ in 0..66 {
        let token = "POST /adfs/oauth2/token HTTP/1.1";
        let link = "POST /sign-in/link HTTP/1.1\r\nsec-fetch-site: same-origin";
        for head in [token, link] {
            hanging.push(hang(&server, head, b"code=").await);
        }
    }
    let client = client(server.ca.as_deref().unwrap()).build().unwrap();
    let form = [
        ("grant_type", "client_credentials"),
        ("client_id", &bobs.id().to_string()),
        ("client_secret", bobs.expose()),
        ("scope", "https://management.azure.com/.default"),
    ];
    let url = format!("{}/adfs/oauth2/token", server.url);
    let token = client.post(url).form(&form).send().await.unwrap();
    assert_eq!(token.status(), StatusCode::OK);
    let url = format!("{}/sign-in", server.url);
    let page = client.get(url).send().await.unwrap();
    assert_eq!(page.status(), StatusCode::OK);
    for mut stream in hanging {
        let mut answer = [0; 12];
        within(stream.read_exact(&mut answer)).await.unwrap();
        assert_eq!(&answer, b"HTTP/1.1 408");
    }
}

#[tokio::test]
async fn a_principal_that_sends_slowly_keeps_no_other_out() {
    let server = Server::start_with(|settings| settings.limits.requests = few(2)).await;
    let (alice, agent) = (server.contributor().await, server.agent(CLUSTER).await);
    let path = versioned(CLUSTER, "blue");
    let created = alice.put(&path, body(URL)).await;
    let slow = server.token("slow", SUBSCRIPTION, Role::Contributor).await;
    let other: gitmoor_arm::ClusterId = OTHER_CLUSTER.parse().unwrap();
    let others = server.store.create_agent(&other).await.unwrap();
    let others = server.token_of(others.id()).await;
    let mut hanging = Vec::new();
    for _ in 0..24 {
        let put = format!(
            "PUT {path} HTTP/1.1\r\nauthorization: Bearer {}",
            slow.expose()
        );
        hanging.push(hang(&server, &put, b"{").await);
        let put = format!(
            "PUT {}/blue/status HTTP/1.1\r\nauthorization: Bearer {}",
            data_plane(OTHER_CLUSTER),
            others.expose()
        );
        hanging.push(hang(&server, &put, &[b' '; 100_000]).await);
    }
    let problem = json!({"message": "x".repeat(1000)});
    let report = json!({"observedEtag": created.body["etag"], "problems": vec![problem; 100]});
    let status = format!("{}/blue/status", data_plane(CLUSTER));
    let reported = agent.put(&status, report).await;
    assert_eq!(reported.status, StatusCode::NO_CONTENT);
    assert_eq!(alice.put(&path, body(URL)).await.status, StatusCode::OK);
}

#[tokio::test]
async fn a_person_whose_forms_come_slowly_keeps_no_other_out() {
    let server = Server::start_with(|settings| settings.limits.requests = few(2)).await;
    let slow = Browser::of(&server, "slow", SUBSCRIPTION, Role::Reader).await;
    let mut ann = Browser::of(&server, "ann", SUBSCRIPTION, Role::Contributor).await;
    let csrf = ann.csrf().await;
    let cookie = slow.cookie.unwrap();
    let mut hanging = Vec::new();
    for path in ["/sign-out", "/create"].repeat(12) {
        let head = format!("POST {path} HTTP/1.1\r\ncookie: {cookie}");
        hanging.push(hang(&server, &head, b"csrf=").await);
    }
    ann.html("/").await;
    let form = [
        ("csrf", csrf.as_str()),
        ("cluster", CLUSTER),
        ("name", "blue"),
        ("repositoryUrl", URL),
    ];
    let made = ann.post("/create", &form).await;
    assert_eq!(made.status, StatusCode::SEE_OTHER, "{}", made.html);
}

fn few(number: u32) -> std::num::NonZeroU32 {
    number.try_into().unwrap()
}

#[tokio::test]
async fn a_form_that_never_ends_is_given_up() {
    let server =
        Server::start_with(|settings| settings.limits.request_seconds = 1.try_into().unwrap())
            .await;
    let mut stream = connect(&server, b"http/1.1").await;
    let head = "POST /sign-in/link HTTP/1.1\r\nhost: portal\r\nsec-fetch-site: same-origin\r\n\
         content-length: 1000\r\n\r\ncode=";
    stream.write_all(head.as_bytes()).await.unwrap();
    let mut answer = [0; 12];
    within(stream.read_exact(&mut answer)).await.unwrap();
    assert_eq!(&answer, b"HTTP/1.1 408");
}

#[tokio::test]
async fn a_head_that_never_ends_is_given_up() {
    let server = Server::start().await;
    let mut silent = TcpStream::connect(server.address).await.unwrap();
    let mut stream = connect(&server, b"http/1.1").await;
    stream.write_all(b"GET / HTTP/1.1\r\nx: y").await.unwrap();
    let mut rest = Vec::new();
    match within(stream.read_to_end(&mut rest)).await {
        Ok(_) => {}
        Err(error) => assert_eq!(error.kind(), io::ErrorKind::UnexpectedEof),
    }
    // Nor is one who never begins with TLS waited for.
    assert_eq!(within(silent.read_to_end(&mut rest)).await.unwrap(), 0);
}

#[tokio::test]
async fn a_connection_on_which_nothing_is_asked_is_ended_and_one_that_waits_is_not() {
    const PING: u8 = 6;
    const ACKNOWLEDGED: u8 = 1;
    let server = Server::start().await;
    let mut idle = connect(&server, b"h2").await;
    // The preface, and settings that leave everything as it is.
    idle.write_all(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\0\x04\0\0\0\0\0")
        .await
        .unwrap();
    let agent = server.agent(CLUSTER).await;
    let path = data_plane(CLUSTER);
    let known = agent.get(&path).await.headers["etag"].clone();
    let headers = [
        ("if-none-match", known.to_str().unwrap()),
        ("prefer", "wait=8"),
    ];
    let waits = agent.send_with(Method::GET, &path, Body::None, &headers);
    let ends = async {
        let mut head = [0; 9];
        while within(idle.read_exact(&mut head)).await.is_ok() {
            let mut payload = vec![0; usize::from(u16::from_be_bytes([head[1], head[2]]))];
            idle.read_exact(&mut payload).await.unwrap();
            // A sign of life, as any client gives.
            if head[3] == PING {
                head[4] = ACKNOWLEDGED;
                idle.write_all(&[&head[..], &payload].concat())
                    .await
                    .unwrap();
            }
        }
    };
    let (answer, ()) = tokio::join!(waits, ends);
    assert_eq!(answer.status, StatusCode::NOT_MODIFIED);
    // Where the connection has ended since, the caller has another without having to ask for it.
    tokio::time::sleep(Duration::from_secs(6)).await;
    let answer = agent
        .send_with(Method::GET, &path, Body::None, &headers[..1])
        .await;
    assert_eq!(answer.status, StatusCode::NOT_MODIFIED);
}

#[tokio::test]
async fn both_versions_of_http_are_answered() {
    let server = Server::start().await;
    let ca = server.ca.as_deref().unwrap();
    let url = format!("{}/healthz", server.url);
    let newer = client(ca).build().unwrap().get(&url).send().await.unwrap();
    assert_eq!(newer.version(), reqwest::Version::HTTP_2);
    let older = client(ca).http1_only().build().unwrap();
    let older = older.get(&url).send().await.unwrap();
    assert_eq!(older.version(), reqwest::Version::HTTP_11);
}

#[tokio::test]
async fn a_page_that_cannot_name_the_next_one_is_refused() {
    let server =
        Server::start_with(|settings| settings.limits.page_size = 1.try_into().unwrap()).await;
    let alice = server.contributor().await;
    for name in ["a", "b"] {
        alice.put(&versioned(CLUSTER, name), body(URL)).await;
    }
    let token = server.token("bob", SUBSCRIPTION, Role::Reader).await;
    for host in ["", "host: a b\r\n"] {
        let mut stream = connect(&server, b"http/1.1").await;
        let head = format!(
            "GET {} HTTP/1.1\r\n{host}authorization: Bearer {}\r\n\r\n",
            versioned_list(CLUSTER),
            token.expose()
        );
        stream.write_all(head.as_bytes()).await.unwrap();
        let mut answer = [0; 12];
        within(stream.read_exact(&mut answer)).await.unwrap();
        assert_eq!(&answer, b"HTTP/1.1 400", "{host:?}");
    }
}

#[tokio::test]
async fn more_requests_than_are_served_at_once_wait_their_turn() {
    let server = Server::start_with(|settings| {
        settings.limits.requests = 1.try_into().unwrap();
        settings.limits.connections = 2.try_into().unwrap();
    })
    .await;
    let alice = server.contributor().await;
    let lists = (0..32).map(|_| {
        let alice = alice.clone();
        tokio::spawn(async move { alice.get(&versioned_list(CLUSTER)).await.status })
    });
    for list in lists.collect::<Vec<_>>() {
        assert_eq!(list.await.unwrap(), StatusCode::OK);
    }
}

#[tokio::test]
async fn the_portal_ends_in_order_while_callers_hold_connections() {
    let server = Server::start().await;
    let alice = server.contributor().await;
    assert_eq!(
        alice.put(&versioned(CLUSTER, "a"), json!({})).await.status,
        400
    );
    let address = server.address;
    let _idle = connect(&server, b"http/1.1").await;
    let begun = std::time::Instant::now();
    let _directory = server.stop().await;
    assert!(
        begun.elapsed() < Duration::from_secs(9),
        "it waited for idle connections"
    );
    assert!(TcpStream::connect(address).await.is_err());
}
