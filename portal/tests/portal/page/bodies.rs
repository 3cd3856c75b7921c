//! Forms that no browser sends: too large, or of nothing that makes sense.

use gitmoor_portal::identity::Role;
use reqwest::{Client, StatusCode};

use super::{
    super::server::{SUBSCRIPTION, Server, client, within},
    browser::Browser,
};

const CREATE: &str = "/create";
const LINK: &str = "/sign-in/link";

/// Sends a body as a form of our own page.
async fn send(client: &Client, url: &str, cookie: Option<&str>, body: Vec<u8>) -> StatusCode {
    let mut request = client
        .post(url)
        .header("sec-fetch-site", "same-origin")
        .header("content-type", "application/x-www-form-urlencoded")
        .body(body);
    if let Some(cookie) = cookie {
        request = request.header("cookie", cookie);
    }
    within(request.send()).await.unwrap().status()
}

#[tokio::test]
async fn forms_that_no_browser_sends_are_refused_and_the_portal_goes_on() {
    let server = Server::start().await;
    let mut browser = Browser::of(&server, "ann", SUBSCRIPTION, Role::Owner).await;
    let csrf = browser.csrf().await;
    let cookie = browser.cookie.clone().unwrap();
    let client = client(server.ca.as_deref().unwrap()).build().unwrap();
    let huge = vec![b'a'; 8 * 1024 * 1024];
    for (path, cookie) in [(LINK, None), (CREATE, Some(&*cookie))] {
        let url = format!("{}{path}", server.url);
        let status = send(&client, &url, cookie, huge.clone()).await;
        assert_eq!(status, StatusCode::PAYLOAD_TOO_LARGE, "{path}");
    }
    let right = format!("csrf={csrf}");
    let bodies: Vec<Vec<u8>> = vec![
        Vec::new(),
        b"&&&===&".to_vec(),
        b"%".to_vec(),
        b"%zz=%".to_vec(),
        vec![0xff; 64],
        vec![0; 64],
        b"{\"csrf\": []}".to_vec(),
        right.clone().into_bytes(),
        format!("{right}&{right}&name=a&name=b").into_bytes(),
        format!("{right}&cluster=%00&name=%ff%fe&repositoryUrl=javascript:alert(1)").into_bytes(),
        format!("{right}&{}", "a=b&".repeat(50_000)).into_bytes(),
        format!("{right}&etag=%0d%0a&as=commands&operatorParams='").into_bytes(),
    ];
    for body in bodies {
        let shown = String::from_utf8_lossy(&body[..body.len().min(80)]).into_owned();
        for path in [
            CREATE.to_owned(),
            LINK.to_owned(),
            "/clusters/3f1c/edge/connectedClusters/edge-07/shop/edit".to_owned(),
            "/clusters/3f1c/edge/connectedClusters/edge-07/shop/confirm".to_owned(),
            "/clusters/3f1c/edge/connectedClusters/edge-07/shop/delete".to_owned(),
        ] {
            let url = format!("{}{path}", server.url);
            let status = send(&client, &url, Some(&cookie), body.clone()).await;
            assert!(!status.is_server_error(), "{path}: {status}: {shown}");
        }
    }
    browser.html("/").await;
}
