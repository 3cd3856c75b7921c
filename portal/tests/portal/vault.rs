//! The key that seals the database, when it is a secret of Azure Key Vault.

use std::{
    fs,
    path::Path,
    sync::{Arc, Mutex},
};

use axum::{Json, Router, extract::Request, response::IntoResponse as _};
use base64::{Engine as _, prelude::BASE64_STANDARD};
use gitmoor_portal::{Encryption, EncryptionError, Settings, Store, StoreError};
use http::StatusCode;
use hyper_util::{
    rt::{TokioExecutor, TokioIo},
    server::conn::auto::Builder,
    service::TowerToHyperService,
};
use rcgen::{CertifiedKey, generate_simple_self_signed};
use rustls::{ServerConfig, pki_types::PrivateKeyDer};
use serde_json::{Value, json};
use tempfile::TempDir;
use tokio::net::TcpListener;
use tokio_rustls::TlsAcceptor;

use super::server::settings;

/// Azure's own cannot run here: what it answers is as its reference says.
struct KeyVault {
    url: String,
    asked: Arc<Mutex<Vec<String>>>,
}

impl KeyVault {
    async fn start(directory: &Path) -> Self {
        let CertifiedKey { cert, signing_key } =
            generate_simple_self_signed(["127.0.0.1".to_owned()]).unwrap();
        fs::write(directory.join("vault.crt"), cert.pem()).unwrap();
        let key = PrivateKeyDer::try_from(signing_key.serialize_der()).unwrap();
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let config = ServerConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .unwrap()
            .with_no_client_auth()
            .with_single_cert(vec![cert.der().clone()], key)
            .unwrap();
        let acceptor = TlsAcceptor::from(Arc::new(config));
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("https://{}", listener.local_addr().unwrap());
        let asked = Arc::new(Mutex::new(Vec::new()));
        let seen = asked.clone();
        let router = Router::new().fallback(move |request: Request| {
            seen.lock().unwrap().push(request.uri().to_string());
            async move { answer(&request) }
        });
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                let (acceptor, router) = (acceptor.clone(), router.clone());
                tokio::spawn(async move {
                    let Ok(stream) = acceptor.accept(stream).await else {
                        return;
                    };
                    let service = TowerToHyperService::new(router);
                    let builder = Builder::new(TokioExecutor::new());
                    let _ = builder
                        .serve_connection(TokioIo::new(stream), service)
                        .await;
                });
            }
        });
        Self { url, asked }
    }

    fn settings(&self, directory: &Path, key: &str, previous: &[&str]) -> Settings {
        let source = |name: &str| format!("vault:{}/secrets/{name}", self.url);
        let encryption: Encryption = serde_json::from_value(json!({
            "key": source(key),
            "previous": previous.iter().map(|name| source(name)).collect::<Vec<_>>(),
            "vault": {
                "credential": {"tokenFile": directory.join("token")},
                "caFile": directory.join("vault.crt"),
            },
        }))
        .unwrap();
        Settings {
            encryption,
            ..settings(directory)
        }
    }
}

fn answer(request: &Request) -> axum::response::Response {
    let authorization = request.headers().get("authorization");
    if authorization.is_none_or(|value| value != "Bearer good-token") {
        return refusal(StatusCode::UNAUTHORIZED, "Unauthorized");
    }
    let key = |byte: u8| BASE64_STANDARD.encode([byte; 32]);
    let value = match request.uri().path() {
        "/secrets/portal/1" => key(1),
        "/secrets/portal" | "/secrets/portal/2" => key(2),
        "/secrets/short" => "c2hvcnQ=".to_owned(),
        _ => return refusal(StatusCode::NOT_FOUND, "SecretNotFound"),
    };
    let answer =
        json!({"value": value, "id": request.uri().path(), "attributes": {"enabled": true}});
    Json::<Value>(answer).into_response()
}

fn refusal(status: StatusCode, code: &str) -> axum::response::Response {
    let error = json!({"error": {"code": code, "message": "no"}});
    (status, Json(error)).into_response()
}

#[tokio::test]
async fn the_key_comes_from_a_vault_and_its_next_version_takes_over() {
    let _ = rustls::crypto::ring::default_provider().install_default();
    let directory = TempDir::new().unwrap();
    let vault = KeyVault::start(directory.path()).await;
    fs::write(directory.path().join("token"), "good-token").unwrap();
    let open = async |key: &str, previous: &[&str]| {
        Store::open(&vault.settings(directory.path(), key, previous)).await
    };
    open("portal/1", &[]).await.unwrap();
    assert_eq!(
        *vault.asked.lock().unwrap(),
        ["/secrets/portal/1?api-version=7.4"]
    );
    // Nothing of it is on the disk.
    let files = fs::read_dir(directory.path()).unwrap();
    let key = BASE64_STANDARD.encode([1; 32]);
    for file in files {
        let bytes = fs::read(file.unwrap().path()).unwrap();
        assert!(!bytes.windows(key.len()).any(|part| part == key.as_bytes()));
        assert!(!bytes.windows(32).any(|part| part == [1; 32]));
    }
    let unknown = open("portal", &[]).await.unwrap_err();
    assert!(matches!(
        unknown,
        StoreError::Encryption(EncryptionError::Unknown(_))
    ));
    open("portal", &["portal/1"]).await.unwrap();
    open("portal", &[]).await.unwrap();
}

#[tokio::test]
async fn a_vault_that_refuses_is_named_and_nothing_else_is_told() {
    let _ = rustls::crypto::ring::default_provider().install_default();
    let directory = TempDir::new().unwrap();
    let vault = KeyVault::start(directory.path()).await;
    let token = directory.path().join("token");
    let refused = async |key: &str| {
        let settings = vault.settings(directory.path(), key, &[]);
        let error = Store::open(&settings).await.unwrap_err();
        let mut text = error.to_string();
        let mut source = std::error::Error::source(&error);
        while let Some(error) = source {
            text = format!("{text}: {error}");
            source = error.source();
        }
        text
    };
    fs::write(&token, "bad-token").unwrap();
    let text = refused("portal").await;
    assert!(
        text.contains("/secrets/portal") && text.contains("401"),
        "{text}"
    );
    assert!(!text.contains("bad-token"), "{text}");
    fs::write(&token, "good-token").unwrap();
    let text = refused("other").await;
    assert!(text.contains("SecretNotFound"), "{text}");
    let text = refused("short").await;
    assert!(
        text.contains("holds no key") && !text.contains("c2hvcnQ"),
        "{text}"
    );
    let mut settings = vault.settings(directory.path(), "portal", &[]);
    settings.encryption.vault = None;
    let error = Store::open(&settings).await.unwrap_err();
    assert!(
        error.to_string().contains("encryption.vault.credential"),
        "{error}"
    );
}
