//! Opening the store: once, together with others, and what is not to be had.

use base64::{Engine as _, prelude::BASE64_STANDARD};
use futures::future::join_all;
use gitmoor_portal::{Encryption, KeySource, Store, StoreError, identity::Role};
use tempfile::TempDir;

use super::server::{SUBSCRIPTION, settings};

#[tokio::test]
async fn portals_that_start_at_once_make_one_schema() {
    let directory = TempDir::new().unwrap();
    let settings = settings(directory.path());
    let stores = join_all((0..8).map(|_| Store::open(&settings))).await;
    let scope = SUBSCRIPTION.parse().unwrap();
    for store in &stores {
        let store = store.as_ref().unwrap();
        store
            .create_principal("ann", &scope, Role::Reader)
            .await
            .unwrap();
    }
    for store in stores {
        assert_eq!(store.unwrap().principals().await.unwrap().len(), 8);
    }
}

#[tokio::test]
async fn postgres_is_asked_over_tls_that_is_checked() {
    let directory = TempDir::new().unwrap();
    // Whoever asks for this schema must have its key.
    let key = directory.path().join("key");
    std::fs::write(&key, BASE64_STANDARD.encode([9; 32])).unwrap();
    let encryption = Encryption {
        key: Some(KeySource::File(key)),
        previous: Vec::new(),
        ..Encryption::default()
    };
    let server = gitmoor_postgres::Postgres::shared().unwrap();
    let ca = server.ca_file();
    let url = |parameters: &str| {
        let url = format!("{}?{parameters}", server.url());
        gitmoor_portal::Settings {
            database: Some(gitmoor_portal::Location::parse(&url).unwrap()),
            encryption: encryption.clone(),
            ..settings(directory.path())
        }
    };
    let checked = format!("sslmode=verify-full&sslrootcert={}", ca.display());
    let used = Store::open(&url(&format!(
        "{checked}&application_name=over_tls&options[search_path]=public"
    )))
    .await
    .unwrap();
    assert_eq!(used.principals().await.unwrap(), []);
    let encrypted = server
        .sql(
            "SELECT bool_and(ssl) FROM pg_stat_ssl JOIN pg_stat_activity USING (pid) \
             WHERE application_name = 'over_tls'",
        )
        .unwrap();
    assert_eq!(encrypted, "t");
    drop(used);
    let refused = Store::open(&url("sslmode=verify-full")).await.unwrap_err();
    assert!(matches!(refused, StoreError::Database(_)), "{refused:?}");
    assert!(!format!("{refused:?}").contains("a-password"));
}
