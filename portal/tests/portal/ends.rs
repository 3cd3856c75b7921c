//! What lasts for a while ends then: sessions, links and enrolments; and what is good once is so for one.

use gitmoor_arm::{OpeningKey, Timestamp};
use gitmoor_portal::identity::Role;
use reqwest::StatusCode;
use time::Duration;
use uuid::Uuid;

use super::{
    enrolment,
    page::browser::Browser,
    server::{SUBSCRIPTION, Server},
    sql::Sql,
};

async fn ann(server: &Server) -> Uuid {
    let scope = SUBSCRIPTION.parse().unwrap();
    let made = server
        .store
        .create_principal("ann", &scope, Role::Reader)
        .await;
    made.unwrap().id()
}

/// How long from now on the one row of a table lasts, which then is let pass.
async fn lasted(sql: &Sql, table: &str) -> Duration {
    let end = sql.text(&format!("SELECT expires_at FROM {table}")).await;
    let end: Timestamp = end.parse().unwrap();
    let past = Timestamp(Timestamp::now().0 - Duration::SECOND);
    let passed = format!("UPDATE {table} SET expires_at = '{past}'");
    assert_eq!(sql.run(&passed).await, 1);
    end.0 - Timestamp::now().0
}

fn about(found: Duration, wanted: Duration) -> bool {
    (wanted - found).abs() < Duration::MINUTE
}

#[tokio::test]
async fn a_session_ends_after_twelve_hours() {
    let server = Server::start().await;
    let sql = Sql::of(&server).await;
    let mut browser = Browser::of_principal(&server, ann(&server).await).await;
    assert_eq!(browser.get("/").await.status, StatusCode::OK);
    assert!(about(lasted(&sql, "session").await, Duration::hours(12)));
    assert_eq!(browser.get("/").await.status, StatusCode::SEE_OTHER);
}

#[tokio::test]
async fn a_link_ends_after_a_day_and_is_forgotten() {
    let server = Server::start().await;
    let sql = Sql::of(&server).await;
    let ann = ann(&server).await;
    // The portal may have offered one for the first to come.
    sql.run("DELETE FROM sign_in_link").await;
    let code = server.store.create_sign_in_link(ann).await.unwrap();
    assert!(about(lasted(&sql, "sign_in_link").await, Duration::DAY));
    let mut browser = Browser::new(&server);
    let path = format!("/sign-in/link?code={}", code.expose());
    assert_eq!(browser.get(&path).await.status, StatusCode::FORBIDDEN);
    let form = [("code", code.expose())];
    let page = browser.post("/sign-in/link", &form).await;
    assert_eq!(page.status, StatusCode::FORBIDDEN);
    server.store.create_sign_in_link(ann).await.unwrap();
    let count = sql
        .text("SELECT CAST(count(*) AS TEXT) FROM sign_in_link")
        .await;
    assert_eq!(count, "1");
}

#[tokio::test]
async fn an_enrolment_ends_after_a_day() {
    let server = Server::start().await;
    let sql = Sql::of(&server).await;
    let token = enrolment::token(&server).await;
    assert!(about(lasted(&sql, "enrolment").await, Duration::DAY));
    let key = OpeningKey::generate().public().to_string();
    let refused = enrolment::enrol(&server, &token, &key).await;
    assert_eq!(refused.error(), (403, "InvalidEnrolmentToken"));
}

#[tokio::test]
async fn of_two_who_open_a_link_at_once_one_is_signed_in() {
    let server = Server::start().await;
    let ann = ann(&server).await;
    for _ in 0..5 {
        let code = server.store.create_sign_in_link(ann).await.unwrap();
        let form = [("code", code.expose())];
        let (mut one, mut two) = (Browser::new(&server), Browser::new(&server));
        let (one, two) = tokio::join!(
            one.post("/sign-in/link", &form),
            two.post("/sign-in/link", &form)
        );
        let mut statuses = [one.status.as_u16(), two.status.as_u16()];
        statuses.sort_unstable();
        assert_eq!(statuses, [303, 403]);
    }
}
