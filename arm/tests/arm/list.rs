//! A list is whole or an error, whatever the server does.

use std::time::{Duration, Instant, SystemTime};

use gitmoor_arm::{Error, Retry, jittered};
use serde_json::json;
use time::{OffsetDateTime, format_description::well_known::Rfc2822};

use super::server::{
    Files, Server, broken_off, client, cluster, configuration, dripping, endless, json_answer,
    page, settings, text_answer, with_header,
};

async fn names(server: &Server, files: &Files) -> Result<Vec<String>, Error> {
    let all = client(&settings(server, files)).list().await?;
    Ok(all
        .into_iter()
        .map(|configuration| configuration.name.unwrap())
        .collect())
}

async fn failure(server: Server) -> Error {
    names(&server, &Files::new()).await.unwrap_err()
}

#[tokio::test]
async fn all_pages_are_followed() {
    let server = Server::start(|number, asked| match number {
        0 => page(
            &["a", "b"],
            Some(&format!(
                "{}?api-version=2023-05-01&$skipToken=b",
                asked.path
            )),
        ),
        1 => page(&["c"], Some("")),
        _ => text_answer(500, ""),
    })
    .await;
    assert_eq!(
        names(&server, &Files::new()).await.unwrap(),
        ["a", "b", "c"]
    );
    let asked = server.asked();
    assert_eq!(asked.len(), 2);
    assert_eq!(asked[0].path, cluster().configurations_path());
    assert_eq!(asked[0].query, "api-version=2023-05-01");
    assert_eq!(asked[0].authorization, "Bearer first-token");
    assert!(asked[1].query.contains("skipToken=b"), "{}", asked[1].query);
}

#[tokio::test]
async fn an_absolute_next_link_of_the_same_server_is_followed() {
    let (send, receive) = std::sync::mpsc::channel::<String>();
    let receive = std::sync::Arc::new(std::sync::Mutex::new(receive));
    let server = Server::start(move |number, _| match number {
        0 => page(&["a"], Some(&receive.lock().unwrap().recv().unwrap())),
        _ => page(&["b"], None),
    })
    .await;
    send.send(format!("{}/elsewhere?page=2", server.url))
        .unwrap();
    assert_eq!(names(&server, &Files::new()).await.unwrap(), ["a", "b"]);
    assert_eq!(server.asked()[1].path, "/elsewhere");
}

#[tokio::test]
async fn an_empty_list_is_a_list() {
    let server = Server::answering([page(&[], None)]).await;
    assert_eq!(names(&server, &Files::new()).await.unwrap(), [""; 0]);
}

#[tokio::test]
async fn a_token_is_not_sent_to_another_server() {
    let other = Server::start(|_, _| page(&["stolen"], None)).await;
    for link in [
        format!("{}/x", other.url),
        "http://127.0.0.1/x".to_owned(),
        "//example.net/x".to_owned(),
    ] {
        let error = failure(Server::answering([page(&["a"], Some(&link))]).await).await;
        assert_eq!(
            (error.reason(), error.retry()),
            ("MalformedList", Retry::Later),
            "{link}"
        );
    }
    let moved = with_header(
        text_answer(307, ""),
        "location",
        &format!("{}/x", other.url),
    );
    let error = failure(Server::answering([moved]).await).await;
    assert!(
        matches!(error, Error::Refused { status: 307, .. }),
        "{error}"
    );
    assert_eq!(other.asked().len(), 0);
}

#[tokio::test]
async fn pages_that_lead_in_circles_are_an_error() {
    let error = failure(Server::start(|_, asked| page(&["a"], Some(&asked.path))).await).await;
    assert!(matches!(error, Error::Paging { .. }), "{error}");
    let server =
        Server::start(|number, asked| page(&["a"], Some(&format!("{}?page={number}", asked.path))))
            .await;
    let error = failure(server).await;
    assert!(error.to_string().contains("more than 200 pages"), "{error}");
}

#[tokio::test]
async fn a_failure_on_a_later_page_is_a_failure_of_the_list() {
    let first = || page(&["a"], Some("/2"));
    for bad in [
        text_answer(500, ""),
        text_answer(404, ""),
        text_answer(200, "{}"),
        text_answer(200, r#"{"value": [{"#),
        broken_off(),
    ] {
        failure(Server::answering([first(), bad]).await).await;
    }
}

#[tokio::test]
async fn what_is_no_page_is_an_error() {
    for body in [
        "",
        "{}",
        "[]",
        "null",
        "<html></html>",
        r#"{"value": null}"#,
        r#"{"value": [1]}"#,
        r#"{"value": []} x"#,
    ] {
        let error = failure(Server::answering([text_answer(200, body)]).await).await;
        assert_eq!(error.reason(), "MalformedAnswer", "{body}");
    }
    for status in [202, 204, 206] {
        let error =
            failure(Server::answering([json_answer(status, &json!({"value": []}))]).await).await;
        assert_eq!(error.reason(), "Refused", "{status}");
    }
}

#[tokio::test]
async fn configurations_of_another_cluster_are_no_list_of_this_one() {
    let mut foreign = configuration("a");
    foreign["id"] = foreign["id"]
        .as_str()
        .unwrap()
        .replace("edge-07", "edge-08")
        .into();
    let mut renamed = configuration("a");
    renamed["name"] = "b".into();
    let nameless = json!({"properties": {}});
    for odd in [foreign, renamed, nameless] {
        let answer = json_answer(200, &json!({"value": [configuration("x"), odd]}));
        let error = failure(Server::answering([answer]).await).await;
        assert_eq!(error.reason(), "MalformedAnswer", "{error}");
    }
    let mut shouted = configuration("a");
    shouted["id"] = shouted["id"].as_str().unwrap().to_uppercase().into();
    let server = Server::answering([json_answer(200, &json!({"value": [shouted]}))]).await;
    assert_eq!(names(&server, &Files::new()).await.unwrap(), ["a"]);
}

#[tokio::test]
async fn an_answer_that_breaks_off_drips_or_never_ends_is_an_error() {
    let error = failure(Server::answering([broken_off()]).await).await;
    assert_eq!(error.reason(), "AnswerBrokenOff", "{error}");
    let error = failure(Server::answering([endless()]).await).await;
    assert_eq!(error.reason(), "AnswerTooLarge", "{error}");

    let server = Server::answering([dripping()]).await;
    let files = Files::new();
    let mut settings = settings(&server, &files);
    settings.request_timeout = Duration::from_millis(400);
    let start = Instant::now();
    let error = client(&settings).list().await.unwrap_err();
    assert_eq!(error.reason(), "Timeout", "{error}");
    assert!(start.elapsed() < Duration::from_secs(5));
}

#[tokio::test]
async fn a_busy_server_is_left_alone_as_long_as_it_asks() {
    let busy = |status, value: &str| with_header(text_answer(status, ""), "retry-after", value);
    for (answer, seconds) in [
        (busy(429, "17"), 17),
        (busy(503, "3"), 3),
        (busy(429, "999999"), 3600),
    ] {
        let error = failure(Server::answering([answer]).await).await;
        assert_eq!(error.reason(), "Throttled");
        assert_eq!(error.retry_after(), Some(Duration::from_secs(seconds)));
    }
    let date: OffsetDateTime = (SystemTime::now() + Duration::from_secs(90)).into();
    let date = date.format(&Rfc2822).unwrap().replace("+0000", "GMT");
    let error = failure(Server::answering([busy(429, &date)]).await).await;
    let wait = error.retry_after().unwrap().as_secs();
    assert!((85..=90).contains(&wait), "{date}: {wait}");
    let past = "Sun, 06 Nov 1994 08:49:37 GMT";
    let error = failure(Server::answering([busy(429, past)]).await).await;
    assert_eq!(error.retry_after(), Some(Duration::ZERO));
    for odd in ["soon", "-1", ""] {
        let error = failure(Server::answering([busy(429, odd)]).await).await;
        assert_eq!(
            (error.reason(), error.retry_after()),
            ("Throttled", None),
            "{odd}"
        );
    }
}

#[tokio::test]
async fn a_refusal_says_what_the_server_said() {
    let body = json!({"error": {"code": "AuthorizationFailed", "message": "not you"}});
    let cases = [
        (403, "Forbidden", Retry::OnChange),
        (404, "NotFound", Retry::OnChange),
        (500, "ServerError", Retry::Later),
        (400, "Refused", Retry::OnChange),
    ];
    for (status, reason, retry) in cases {
        let error = failure(Server::answering([json_answer(status, &body)]).await).await;
        assert_eq!((error.reason(), error.retry()), (reason, retry));
        assert!(
            error.to_string().contains("AuthorizationFailed: not you"),
            "{error}"
        );
    }
    let long = json!({"error": {"code": "A", "message": "x".repeat(100_000)}});
    let error = failure(Server::answering([json_answer(500, &long)]).await).await;
    assert!(error.to_string().len() < 1000);
}

#[tokio::test]
async fn a_server_that_is_not_trusted_is_not_asked() {
    let server = Server::start(|_, _| page(&[], None)).await;
    let impostor = Server::start(|_, _| page(&[], None)).await;
    let files = Files::new();
    let mut settings = settings(&server, &files);
    settings.endpoint = impostor.url.parse().unwrap();
    let client = client(&settings);
    let error = client.list().await.unwrap_err();
    assert_eq!(
        (error.reason(), error.retry()),
        ("Unreachable", Retry::Later),
        "{error}"
    );
    assert_eq!(impostor.asked().len(), 0);

    files.write("ca.crt", &impostor.ca_pem);
    client.list().await.unwrap();
    files.write("ca.crt", "no certificate");
    let error = client.list().await.unwrap_err();
    assert_eq!(error.reason(), "InvalidCertificateAuthorities");
}

#[tokio::test]
async fn a_server_that_is_not_there_is_an_error() {
    let server = Server::start(|_, _| page(&[], None)).await;
    let files = Files::new();
    let mut gone = settings(&server, &files);
    // A port that nothing listens on: bound and let go.
    let free = std::net::TcpListener::bind("127.0.0.1:0")
        .unwrap()
        .local_addr()
        .unwrap();
    gone.endpoint = format!("https://{free}").parse().unwrap();
    let error = client(&gone).list().await.unwrap_err();
    assert_eq!(error.reason(), "Unreachable");
    assert!(error.to_string().contains(&free.to_string()));
}

#[test]
fn the_poll_interval_varies_by_a_tenth() {
    let waits: Vec<_> = (0..200)
        .map(|_| jittered(Duration::from_secs(30)))
        .collect();
    let (min, max) = (waits.iter().min().unwrap(), waits.iter().max().unwrap());
    assert!(
        *min >= Duration::from_secs(27) && *max <= Duration::from_secs(33),
        "{min:?} {max:?}"
    );
    assert!(*max - *min > Duration::from_secs(1), "{min:?} {max:?}");
}
