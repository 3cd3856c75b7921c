//! How what is in the wrong hands is taken back: tokens with their key, secrets, sessions; and how keys
//! change by themselves.

use std::time::Duration;

use gitmoor_arm::Timestamp;
use gitmoor_portal::{Store, identity::Role};
use reqwest::StatusCode;

use super::{
    login::{log_in, login_form},
    page::browser::Browser,
    server::{CLUSTER, Caller, SUBSCRIPTION, Server, settings, versioned_list, within},
    sql::Sql,
};

/// Another portal of the same database.
async fn beside(first: &Server) -> Server {
    Server::start_with(|own| *own = settings(first.directory())).await
}

/// What a command on the database opens.
async fn store(server: &Server) -> Store {
    Store::open(&settings(server.directory())).await.unwrap()
}

async fn status(server: &Server, token: &str) -> u16 {
    let caller = Caller::new(&server.url, server.ca.as_deref().unwrap(), token);
    caller.get(&versioned_list(CLUSTER)).await.status.as_u16()
}

/// Waits until a portal takes a token: a key that it does not know makes it look again, but not at
/// once after it looked.
async fn taken(server: &Server, token: &str) {
    within(async {
        while status(server, token).await != 200 {
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
    })
    .await;
}

fn days_ago(days: i64) -> Timestamp {
    Timestamp(Timestamp::now().0 - time::Duration::days(days))
}

#[tokio::test]
async fn a_key_that_is_due_is_followed_by_another_and_its_tokens_stay_good() {
    let first = Server::start().await;
    let second = beside(&first).await;
    let sql = Sql::of(&first).await;
    let scope = SUBSCRIPTION.parse().unwrap();
    let ann = first
        .store
        .create_principal("ann", &scope, Role::Reader)
        .await;
    let ann = ann.unwrap().id();
    let old = first.token_of(ann).await;
    let old_key = sql.text("SELECT id FROM signing_key").await;
    let age = async |which: &str, days| {
        let at = days_ago(days);
        let changed = sql
            .run(&format!(
                "UPDATE signing_key SET created_at = '{at}' WHERE id {which} '{old_key}'"
            ))
            .await;
        assert_eq!(changed, 1);
    };
    // Another one is made, and signs when all have had the time to learn of it.
    age("=", 40).await;
    let third = store(&first).await;
    let of_third = async |third: &Store| {
        let token = third.issue_token(ann, None).await.unwrap().unwrap();
        let header = token.expose().split('.').next().unwrap().to_owned();
        (token, header)
    };
    let (_, header) = of_third(&third).await;
    assert_eq!(header, old.expose().split('.').next().unwrap());
    age("<>", 2).await;
    let (new, header) = of_third(&store(&first).await).await;
    assert_ne!(header, old.expose().split('.').next().unwrap());
    for server in [&first, &second] {
        taken(server, new.expose()).await;
        assert_eq!(status(server, old.expose()).await, 200);
    }
    // What the old one signed has ended: so does the key.
    age("<>", 4).await;
    store(&first).await;
    for server in [&first, &second] {
        assert_eq!(status(server, old.expose()).await, 401);
        assert_eq!(status(server, new.expose()).await, 200);
    }
}

#[tokio::test]
async fn rotated_keys_end_every_token_of_every_portal_at_once() {
    let first = Server::start().await;
    let second = beside(&first).await;
    let scope = SUBSCRIPTION.parse().unwrap();
    let ann = first
        .store
        .create_principal("ann", &scope, Role::Reader)
        .await;
    let ann = ann.unwrap();
    let token = first.token_of(ann.id()).await;
    let mut browser = Browser::of_principal(&first, ann.id()).await;
    for server in [&first, &second] {
        assert_eq!(status(server, token.expose()).await, 200);
    }
    store(&first).await.rotate_keys().await.unwrap();
    for server in [&first, &second] {
        assert_eq!(status(server, token.expose()).await, 401);
        let (code, answer) = log_in(server, &login_form(server, &ann)).await;
        assert_eq!(code, 200, "{answer}");
        let token = answer["access_token"].as_str().unwrap();
        assert_eq!(status(server, token).await, 200);
        for server in [&first, &second] {
            taken(server, token).await;
        }
    }
    assert_eq!(browser.get("/").await.status, StatusCode::OK);
}

#[tokio::test]
async fn a_principal_has_several_secrets_until_they_end_or_are_removed() {
    let server = Server::start().await;
    let (store, sql) = (&server.store, Sql::of(&server).await);
    let scope = SUBSCRIPTION.parse().unwrap();
    let first = store
        .create_principal("ann", &scope, Role::Reader)
        .await
        .unwrap();
    let ann = first.id();
    let day = Some(Duration::from_hours(24));
    let (second, _) = store.add_secret(ann, day).await.unwrap().unwrap();
    let (third, third_id) = store.add_secret(ann, None).await.unwrap().unwrap();
    let good = async |secret| log_in(&server, &login_form(&server, secret)).await.0 == 200;
    for secret in [&first, &second, &third] {
        assert!(good(secret).await);
    }
    let known = store.credentials(ann).await.unwrap();
    assert_eq!(known.len(), 3);
    let ends: Vec<_> = known.iter().filter_map(|one| one.expires_at).collect();
    let wanted = Timestamp::now().0 + Duration::from_hours(24);
    assert!((wanted - ends[0].0).abs() < time::Duration::MINUTE && ends.len() == 1);

    let past = days_ago(1);
    let end = format!("UPDATE credential SET expires_at = '{past}' WHERE expires_at IS NOT NULL");
    assert_eq!(sql.run(&end).await, 1);
    assert!(!good(&second).await && good(&third).await);
    let other = store
        .create_principal("bob", &scope, Role::Reader)
        .await
        .unwrap();
    assert!(!store.remove_credential(other.id(), third_id).await.unwrap());
    assert!(good(&third).await);
    assert!(store.remove_credential(ann, third_id).await.unwrap());
    assert!(!store.remove_credential(ann, third_id).await.unwrap());
    assert!(!good(&third).await && good(&first).await);
    let nobody = uuid::Uuid::new_v4();
    assert!(store.add_secret(nobody, None).await.unwrap().is_none());
}

#[tokio::test]
async fn whoever_is_signed_out_is_so_in_every_browser_and_by_every_link() {
    let server = Server::start().await;
    let store = &server.store;
    let scope = SUBSCRIPTION.parse().unwrap();
    let make = async |name| {
        let made = store.create_principal(name, &scope, Role::Reader).await;
        made.unwrap().id()
    };
    let (ann, bob) = (make("ann").await, make("bob").await);
    let mut browsers = [
        Browser::of_principal(&server, ann).await,
        Browser::of_principal(&server, ann).await,
    ];
    let mut bobs = Browser::of_principal(&server, bob).await;
    let code = store.create_sign_in_link(ann).await.unwrap();
    assert!(self::store(&server).await.sign_out(ann).await.unwrap());
    for browser in &mut browsers {
        assert_eq!(browser.get("/").await.status, StatusCode::SEE_OTHER);
    }
    let link = format!("/sign-in/link?code={}", code.expose());
    assert_eq!(bobs.get(&link).await.status, StatusCode::FORBIDDEN);
    assert_eq!(bobs.get("/").await.status, StatusCode::OK);
    assert!(!store.sign_out(uuid::Uuid::new_v4()).await.unwrap());
}
