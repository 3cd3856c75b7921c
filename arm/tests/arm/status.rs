//! Status on its way to a portal.

use gitmoor_arm::{ComplianceState, Error, Retry, StatusReport};

use super::server::{
    Files, Server, client, cluster, configuration, json_answer, page, settings, text_answer,
};
use serde_json::{Value, json};

fn report() -> StatusReport {
    StatusReport {
        observed_etag: "7".into(),
        compliance_state: Some(ComplianceState::Compliant),
        message: "applied 9f2c".into(),
        ..Default::default()
    }
}

#[tokio::test]
async fn the_data_plane_gives_secrets_and_takes_status() {
    let server = Server::start(|number, _| match number {
        0 => {
            let mut with_secret = configuration("team-blue");
            with_secret["etag"] = "7".into();
            with_secret["properties"]["configurationProtectedSettings"] =
                json!({"httpsUser": "Ym90", "httpsKey": "czNjcjN0"});
            json_answer(200, &json!({"value": [with_secret], "nextLink": null}))
        }
        _ => text_answer(204, ""),
    })
    .await;
    let files = Files::new();
    let mut settings = settings(&server, &files);
    settings.data_plane = Some(format!("{}/gitmoor/", server.url).parse().unwrap());
    settings.endpoint = "https://management.example.net".parse().unwrap();
    let client = client(&settings);
    assert!(client.takes_status());

    let all = client.list().await.unwrap();
    assert_eq!(all[0].etag.as_deref(), Some("7"));
    let secrets = all[0]
        .properties
        .configuration_protected_settings
        .as_ref()
        .unwrap();
    assert_eq!(
        secrets.decode_text("httpsKey").unwrap().unwrap().expose(),
        "s3cr3t"
    );

    client.report_status("team-blue", &report()).await.unwrap();
    let asked = server.asked();
    let prefix = format!("/gitmoor/dataplane/v1{}/configurations", cluster());
    assert_eq!(
        (asked[0].path.as_str(), asked[0].query.as_str()),
        (prefix.as_str(), "")
    );
    assert_eq!(asked[1].method, "PUT");
    assert_eq!(asked[1].path, format!("{prefix}/team-blue/status"));
    let sent: Value = serde_json::from_str(&asked[1].body).unwrap();
    assert_eq!(sent["observedEtag"], "7");
    assert_eq!(sent["complianceState"], "Compliant");
}

#[tokio::test]
async fn a_stale_report_is_told_from_a_failed_one() {
    let server = Server::answering([
        text_answer(412, ""),
        text_answer(404, ""),
        text_answer(500, ""),
    ])
    .await;
    let files = Files::new();
    let mut settings = settings(&server, &files);
    settings.data_plane = Some(server.url.parse().unwrap());
    let client = client(&settings);
    let error = client.report_status("blue", &report()).await.unwrap_err();
    assert!(
        matches!(&error, Error::Stale { name } if name == "blue"),
        "{error}"
    );
    assert_eq!(error.retry(), Retry::OnChange);
    assert_eq!(
        client
            .report_status("blue", &report())
            .await
            .unwrap_err()
            .reason(),
        "NotFound"
    );
    assert_eq!(
        client
            .report_status("blue", &report())
            .await
            .unwrap_err()
            .retry(),
        Retry::Later
    );
    let error = client
        .report_status("../blue", &report())
        .await
        .unwrap_err();
    assert_eq!(error.reason(), "InvalidName");
}

#[tokio::test]
async fn a_page_of_a_proxy_is_not_taken_for_the_portals_thanks() {
    let server = Server::answering([text_answer(200, "<html>sign in</html>")]).await;
    let files = Files::new();
    let mut settings = settings(&server, &files);
    settings.data_plane = Some(server.url.parse().unwrap());
    let error = client(&settings)
        .report_status("blue", &report())
        .await
        .unwrap_err();
    assert_eq!(error.reason(), "MalformedAnswer");
    assert_eq!(error.retry(), Retry::Later);
}

#[tokio::test]
async fn arm_itself_takes_no_status() {
    let server = Server::answering([page(&[], None)]).await;
    let files = Files::new();
    let client = client(&settings(&server, &files));
    assert!(!client.takes_status());
    let error = client.report_status("blue", &report()).await.unwrap_err();
    assert_eq!(error.reason(), "NoDataPlane");
    assert_eq!(server.asked().len(), 0);
}
