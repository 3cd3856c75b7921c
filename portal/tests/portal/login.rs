//! How a principal gets a token: by its secret, or by the key of its certificate; and who gets none.

use base64::{Engine as _, prelude::BASE64_URL_SAFE_NO_PAD};
use gitmoor_portal::identity::{Certificate, ClientSecret, Role};
use ring::{
    rand::SystemRandom,
    signature::{
        ECDSA_P256_SHA256_FIXED, ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair, RSA_PKCS1_SHA256,
        RSA_PSS_SHA256, RsaEncoding, RsaKeyPair, UnparsedPublicKey,
    },
};
use rustls_pki_types::pem::PemObject as _;
use serde_json::{Value, json};
use time::OffsetDateTime;
use uuid::Uuid;

use super::server::{CLUSTER, Caller, SUBSCRIPTION, Server, client, versioned_list};

/// A key and its certificate, made once by `openssl req -x509 -newkey rsa:2048`.
const KEY: &str = include_str!("login/key.pem");
const CERTIFICATE: &str = include_str!("login/certificate.pem");

const ASSERTION: &str = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer";

type Form = Vec<(&'static str, String)>;

/// Asks for a token.
pub(super) async fn log_in(server: &Server, form: &Form) -> (u16, Value) {
    log_in_at(server, "/adfs/oauth2/token", form).await
}

async fn log_in_at(server: &Server, path: &str, form: &Form) -> (u16, Value) {
    let client = client(server.ca.as_deref().unwrap()).build().unwrap();
    let request = client.post(format!("{}{path}", server.url)).form(form);
    let answer = request.send().await.unwrap();
    let cache = answer.headers()["cache-control"].to_str().unwrap();
    assert!(cache.contains("no-store"), "{cache}");
    (answer.status().as_u16(), answer.json().await.unwrap())
}

/// What a principal sends with its secret.
pub(super) fn login_form(server: &Server, secret: &ClientSecret) -> Form {
    vec![
        ("grant_type", "client_credentials".to_owned()),
        ("client_id", secret.id().to_string()),
        ("client_secret", secret.expose().to_owned()),
        ("scope", format!("{}//.default", server.url)),
    ]
}

fn with(form: &Form, name: &'static str, value: &str) -> Form {
    let mut form = form.clone();
    form.retain(|(key, _)| *key != name);
    form.push((name, value.to_owned()));
    form
}

fn without(form: &Form, name: &str) -> Form {
    let mut form = form.clone();
    form.retain(|(key, _)| *key != name);
    form
}

async fn alice(server: &Server) -> ClientSecret {
    let scope = SUBSCRIPTION.parse().unwrap();
    let store = &server.store;
    store
        .create_principal("alice", &scope, Role::Reader)
        .await
        .unwrap()
}

#[tokio::test]
async fn a_secret_is_exchanged_for_a_token_that_the_key_set_verifies() {
    let server = Server::start().await;
    let secret = alice(&server).await;
    let form = login_form(&server, &secret);
    let tenant = server.store.tenant();
    for (path, form) in [
        ("/adfs/oauth2/token".to_owned(), form.clone()),
        (format!("/{tenant}/oauth2/v2.0/token"), form.clone()),
        (
            format!("/{tenant}/oauth2/token"),
            with(
                &without(&form, "scope"),
                "resource",
                "https://management.azure.com/",
            ),
        ),
        (
            "/adfs/oauth2/token".to_owned(),
            with(
                &form,
                "scope",
                "https://management.core.windows.net//.default",
            ),
        ),
    ] {
        let (status, answer) = log_in_at(&server, &path, &form).await;
        assert_eq!(status, 200, "{path}: {answer}");
        assert_eq!(answer["token_type"], "Bearer");
        assert_eq!(answer["expires_in"], 3600);
        let token = answer["access_token"].as_str().unwrap();
        let caller = Caller::new(&server.url, server.ca.as_deref().unwrap(), token);
        assert_eq!(caller.get(&versioned_list(CLUSTER)).await.status, 200);

        let header: Value = part(token, 0);
        let claims: Value = part(token, 1);
        assert_eq!(claims["oid"], secret.id().to_string());
        let life = claims["exp"].as_i64().unwrap() - claims["iat"].as_i64().unwrap();
        assert_eq!(life, 3600);
        let keys = caller.get("/adfs/discovery/keys").await.body;
        let mut all = keys["keys"].as_array().unwrap().iter();
        let key = all.find(|key| key["kid"] == header["kid"]).unwrap();
        let point = [
            vec![4],
            decoded(key["x"].as_str().unwrap()),
            decoded(key["y"].as_str().unwrap()),
        ];
        let key = UnparsedPublicKey::new(&ECDSA_P256_SHA256_FIXED, point.concat());
        let (message, signature) = token.rsplit_once('.').unwrap();
        key.verify(message.as_bytes(), &decoded(signature)).unwrap();
    }
}

fn decoded(text: &str) -> Vec<u8> {
    BASE64_URL_SAFE_NO_PAD.decode(text).unwrap()
}

fn part(token: &str, index: usize) -> Value {
    let part = token.split('.').nth(index).unwrap();
    serde_json::from_slice(&decoded(part)).unwrap()
}

#[tokio::test]
async fn who_does_not_prove_itself_gets_no_token() {
    let server = Server::start().await;
    let secret = alice(&server).await;
    let other = alice(&server).await;
    let right = login_form(&server, &secret);
    let mut twice = right.clone();
    twice.push(("client_id", other.id().to_string()));
    let table = [
        (
            with(&right, "client_secret", other.expose()),
            401,
            "invalid_client",
        ),
        (with(&right, "client_secret", ""), 401, "invalid_client"),
        (
            with(&right, "client_secret", &secret.expose()[1..]),
            401,
            "invalid_client",
        ),
        (
            with(&right, "client_id", &Uuid::new_v4().to_string()),
            401,
            "invalid_client",
        ),
        (with(&right, "client_id", "alice"), 401, "invalid_client"),
        (
            with(&right, "client_assertion", "a.b.c"),
            401,
            "invalid_client",
        ),
        (without(&right, "client_id"), 400, "invalid_request"),
        (without(&right, "client_secret"), 400, "invalid_request"),
        (without(&right, "scope"), 400, "invalid_request"),
        (twice, 400, "invalid_request"),
        (
            with(&right, "scope", "https://vault.azure.net/.default"),
            400,
            "invalid_scope",
        ),
        (with(&right, "scope", ""), 400, "invalid_scope"),
        (
            with(&right, "grant_type", "password"),
            400,
            "unsupported_grant_type",
        ),
        (Vec::new(), 400, "unsupported_grant_type"),
    ];
    for (form, status, error) in table {
        let (found, answer) = log_in(&server, &form).await;
        assert_eq!(
            (found, answer["error"].as_str()),
            (status, Some(error)),
            "{form:?}"
        );
        assert!(answer.get("access_token").is_none());
        assert!(!answer.to_string().contains(secret.expose()));
    }
    server.store.delete_principal(secret.id()).await.unwrap();
    assert_eq!(log_in(&server, &right).await.0, 401);
    assert_eq!(
        log_in_at(
            &server,
            &format!("/{}/oauth2/token", Uuid::new_v4()),
            &right
        )
        .await
        .0,
        401
    );
}

/// An assertion as clients make them, after a change of its claims.
fn assertion(
    server: &Server,
    id: Uuid,
    algorithm: &str,
    change: impl FnOnce(&mut Value),
) -> String {
    let now = OffsetDateTime::now_utc().unix_timestamp();
    let mut claims = json!({
        "aud": format!("{}/adfs/oauth2/token", server.url),
        "iss": id, "sub": id, "jti": Uuid::new_v4(),
        "iat": now, "nbf": now, "exp": now as f64 + 600.5,
    });
    change(&mut claims);
    let encode = |value: &Value| BASE64_URL_SAFE_NO_PAD.encode(value.to_string());
    let header = json!({"alg": algorithm, "typ": "JWT"});
    let message = format!("{}.{}", encode(&header), encode(&claims));
    let key = rustls_pki_types::PrivatePkcs8KeyDer::from_pem_slice(KEY.as_bytes()).unwrap();
    let key = RsaKeyPair::from_pkcs8(key.secret_pkcs8_der()).unwrap();
    let padding: &dyn RsaEncoding = match algorithm {
        "PS256" => &RSA_PSS_SHA256,
        _ => &RSA_PKCS1_SHA256,
    };
    let mut signature = vec![0; key.public().modulus_len()];
    key.sign(
        padding,
        &SystemRandom::new(),
        message.as_bytes(),
        &mut signature,
    )
    .unwrap();
    format!("{message}.{}", BASE64_URL_SAFE_NO_PAD.encode(signature))
}

#[tokio::test]
async fn an_assertion_that_the_key_of_its_certificate_signed_is_exchanged_for_a_token() {
    let server = Server::start().await;
    let certificate = Certificate::from_pem(CERTIFICATE.as_bytes()).unwrap();
    let scope = SUBSCRIPTION.parse().unwrap();
    let store = &server.store;
    let id = store
        .create_principal_with_certificate("carol", &scope, Role::Reader, &certificate)
        .await
        .unwrap();
    let form = |client: Uuid, assertion: String| -> Form {
        vec![
            ("grant_type", "client_credentials".to_owned()),
            ("client_id", client.to_string()),
            ("client_assertion_type", ASSERTION.to_owned()),
            ("client_assertion", assertion),
            ("scope", "https://management.azure.com/.default".to_owned()),
        ]
    };
    for algorithm in ["RS256", "PS256"] {
        let right = form(id, assertion(&server, id, algorithm, |_| {}));
        let (status, answer) = log_in(&server, &right).await;
        assert_eq!(status, 200, "{algorithm}: {answer}");
        let token = answer["access_token"].as_str().unwrap();
        let caller = Caller::new(&server.url, server.ca.as_deref().unwrap(), token);
        assert_eq!(caller.get(&versioned_list(CLUSTER)).await.status, 200);
        // What was signed for one path of the endpoint, or for another server, is no proof here.
        let path = format!("/{}/oauth2/v2.0/token", server.store.tenant());
        assert_eq!(log_in_at(&server, &path, &right).await.0, 401);
    }
    let now = OffsetDateTime::now_utc().unix_timestamp();
    let other = alice(&server).await.id();
    let table: [(&str, Value); 10] = [
        (
            "aud",
            json!("https://login.microsoftonline.com/adfs/oauth2/token"),
        ),
        ("aud", json!(server.url)),
        ("aud", Value::Null),
        ("iss", json!(other)),
        ("sub", json!(other)),
        ("sub", Value::Null),
        ("exp", json!(now - 600)),
        ("exp", json!(now + 3600 + 60)),
        ("exp", Value::Null),
        ("nbf", json!(now + 600)),
    ];
    for (name, value) in table {
        let wrong = assertion(&server, id, "RS256", |claims| claims[name] = value.clone());
        let (status, _) = log_in(&server, &form(id, wrong)).await;
        assert_eq!(status, 401, "{name}: {value}");
    }
    let right = assertion(&server, id, "RS256", |_| {});
    let (message, signature) = right.rsplit_once('.').unwrap();
    let none = BASE64_URL_SAFE_NO_PAD.encode(r#"{"alg":"none"}"#);
    let claims = message.split('.').nth(1).unwrap();
    for wrong in [
        format!("{message}."),
        format!("{message}.{}", signature.chars().rev().collect::<String>()),
        format!("{none}.{claims}."),
        String::new(),
    ] {
        assert_eq!(log_in(&server, &form(id, wrong)).await.0, 401);
    }
    let for_other = assertion(&server, other, "RS256", |_| {});
    assert_eq!(log_in(&server, &form(other, for_other)).await.0, 401);
    let mut untyped = form(id, right);
    untyped.retain(|(name, _)| *name != "client_assertion_type");
    assert_eq!(log_in(&server, &untyped).await.0, 401);
}

#[tokio::test]
async fn a_key_of_p_256_signs_in_too_and_others_are_refused() {
    let certificate = |key: &rcgen::KeyPair| {
        let parameters = rcgen::CertificateParams::new(vec!["erin".to_owned()]).unwrap();
        parameters.self_signed(key).unwrap().pem()
    };
    for algorithm in [&rcgen::PKCS_ECDSA_P384_SHA384, &rcgen::PKCS_ED25519] {
        let key = rcgen::KeyPair::generate_for(algorithm).unwrap();
        let error = Certificate::from_pem(certificate(&key).as_bytes()).unwrap_err();
        assert!(error.to_string().contains("P-256"), "{error}");
    }
    let server = Server::start().await;
    let key = rcgen::KeyPair::generate_for(&rcgen::PKCS_ECDSA_P256_SHA256).unwrap();
    let certificate = Certificate::from_pem(certificate(&key).as_bytes()).unwrap();
    let scope = SUBSCRIPTION.parse().unwrap();
    let store = &server.store;
    let erin = store
        .create_principal_with_certificate("erin", &scope, Role::Reader, &certificate)
        .await
        .unwrap();
    let random = SystemRandom::new();
    let sign = |key: &rcgen::KeyPair, algorithm: &str| {
        let rsa = assertion(&server, erin, algorithm, |_| {});
        let (message, _) = rsa.rsplit_once('.').unwrap();
        let form = &ECDSA_P256_SHA256_FIXED_SIGNING;
        let key = EcdsaKeyPair::from_pkcs8(form, &key.serialize_der(), &random).unwrap();
        let signature = key.sign(&random, message.as_bytes()).unwrap();
        format!("{message}.{}", BASE64_URL_SAFE_NO_PAD.encode(signature))
    };
    let other = rcgen::KeyPair::generate_for(&rcgen::PKCS_ECDSA_P256_SHA256).unwrap();
    for (assertion, wanted) in [
        (sign(&key, "ES256"), 200),
        (sign(&other, "ES256"), 401),
        (sign(&key, "RS256"), 401),
        (assertion(&server, erin, "RS256", |_| {}), 401),
    ] {
        let form = vec![
            ("grant_type", "client_credentials".to_owned()),
            ("client_id", erin.to_string()),
            ("client_assertion_type", ASSERTION.to_owned()),
            ("client_assertion", assertion),
            ("scope", "https://management.azure.com/.default".to_owned()),
        ];
        assert_eq!(log_in(&server, &form).await.0, wanted);
    }
}

#[tokio::test]
async fn a_certificate_that_is_none_is_refused() {
    for pem in [
        "",
        KEY,
        "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n",
    ] {
        assert!(Certificate::from_pem(pem.as_bytes()).is_err(), "{pem}");
    }
}
