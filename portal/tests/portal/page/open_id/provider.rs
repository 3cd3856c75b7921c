//! An OpenID provider that signs people in without asking, checks PKCE as one must, and lies on
//! demand.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex},
    time::{SystemTime, UNIX_EPOCH},
};

use axum::{
    Json, Router,
    http::{HeaderMap, StatusCode},
    routing::{get, post},
};
use base64::{
    Engine as _,
    prelude::{BASE64_STANDARD, BASE64_URL_SAFE_NO_PAD},
};
use ring::{
    hmac,
    rand::SystemRandom,
    signature::{
        ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair, KeyPair as _, RSA_PKCS1_SHA256, RsaKeyPair,
    },
};
use rustls_pki_types::{PrivatePkcs8KeyDer, pem::PemObject as _};
use serde_json::{Value, json};
use sha2::{Digest as _, Sha256};
use tokio::{net::TcpListener, task::JoinHandle};
use url::{Url, form_urlencoded};
use uuid::Uuid;

pub(super) const CLIENT: &str = "gitmoor portal";
pub(super) const SECRET: &str = "s3cr3t:+/ä";
pub(super) const SUBJECT: &str = "CiQwOGE4Njg0Yi1kYjg4";

/// What it says in a way that it should not.
#[derive(Clone, Debug, Default)]
pub(super) struct Lies {
    /// Claims in the place of the right ones; without a value, they are left out.
    pub(super) claims: Vec<(&'static str, Option<Value>)>,
    pub(super) signature: Signature,
    /// Of the metadata.
    pub(super) metadata: Vec<(&'static str, Value)>,
    /// In the place of the whole answer of the token endpoint.
    pub(super) answer: Option<(u16, String)>,
}

/// How a token is signed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) enum Signature {
    #[default]
    Es256,
    Rs256,
    /// By a key that is not in the key set, under the id of one that is.
    OtherKey,
    /// By a key whose id is not there.
    OtherId,
    None,
    /// With the public key as a secret.
    Hs256,
    /// Another token's.
    Broken,
}

/// How the portal must prove itself to it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Proof {
    /// `client_secret_basic`, which it need not name.
    Basic,
    /// `client_secret_post`.
    Post,
    /// Not at all: it has no secret.
    None,
}

/// What was asked of it for one code.
struct Grant {
    nonce: String,
    challenge: String,
    back: String,
}

pub(super) struct Provider {
    pub(super) issuer: Url,
    pub(super) lies: Mutex<Lies>,
    pub(super) proof: Mutex<Proof>,
    /// Whether it has another key than at first.
    pub(super) changed_key: Mutex<bool>,
    pub(super) asked: Mutex<Vec<String>>,
    grants: Mutex<HashMap<String, Grant>>,
    own: EcdsaKeyPair,
    other: EcdsaKeyPair,
    rsa: RsaKeyPair,
    task: Mutex<Option<JoinHandle<()>>>,
}

impl Drop for Provider {
    fn drop(&mut self) {
        if let Some(task) = self.task.get_mut().unwrap().take() {
            task.abort();
        }
    }
}

fn generate() -> EcdsaKeyPair {
    let random = SystemRandom::new();
    let algorithm = &ECDSA_P256_SHA256_FIXED_SIGNING;
    let document = EcdsaKeyPair::generate_pkcs8(algorithm, &random).unwrap();
    EcdsaKeyPair::from_pkcs8(algorithm, document.as_ref(), &random).unwrap()
}

fn b64(bytes: impl AsRef<[u8]>) -> String {
    BASE64_URL_SAFE_NO_PAD.encode(bytes)
}

impl Provider {
    pub(super) async fn start() -> Arc<Self> {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let issuer = format!("http://{}", listener.local_addr().unwrap());
        let key = include_bytes!("../../login/key.pem");
        let key = PrivatePkcs8KeyDer::from_pem_slice(key).unwrap();
        let provider = Arc::new(Self {
            issuer: issuer.parse().unwrap(),
            lies: Mutex::default(),
            proof: Mutex::new(Proof::Basic),
            changed_key: Mutex::default(),
            asked: Mutex::default(),
            grants: Mutex::default(),
            own: generate(),
            other: generate(),
            rsa: RsaKeyPair::from_pkcs8(key.secret_pkcs8_der()).unwrap(),
            task: Mutex::default(),
        });
        let weak = Arc::downgrade(&provider);
        let state = move || weak.upgrade().unwrap();
        let (one, two, three) = (state.clone(), state.clone(), state);
        let router: Router = Router::new()
            .route(
                "/.well-known/openid-configuration",
                get(async move || Json(one().metadata())),
            )
            .route("/keys", get(async move || Json(two().keys())))
            .route(
                "/token",
                post(async move |headers: HeaderMap, body: String| {
                    let (status, answer) = three().token(&headers, &body);
                    (StatusCode::from_u16(status).unwrap(), answer)
                }),
            );
        let task = tokio::spawn(async move { axum::serve(listener, router).await.unwrap() });
        *provider.task.lock().unwrap() = Some(task);
        provider
    }

    fn name(&self) -> &str {
        self.issuer.as_str().trim_end_matches('/')
    }

    fn saw(&self, what: &str) {
        self.asked.lock().unwrap().push(what.to_owned());
    }

    fn metadata(&self) -> Value {
        self.saw("metadata");
        let name = self.name();
        let mut metadata = json!({
            "issuer": name, "authorization_endpoint": format!("{name}/enter?tenant=a"),
            "token_endpoint": format!("{name}/token"), "jwks_uri": format!("{name}/keys"),
        });
        let methods = "token_endpoint_auth_methods_supported";
        match *self.proof.lock().unwrap() {
            Proof::Basic => {}
            Proof::Post => metadata[methods] = json!(["client_secret_post"]),
            Proof::None => metadata[methods] = json!(["none"]),
        }
        for (field, value) in &self.lies.lock().unwrap().metadata {
            metadata[*field] = value.clone();
        }
        metadata
    }

    fn keys(&self) -> Value {
        self.saw("keys");
        let (key, id) = match *self.changed_key.lock().unwrap() {
            false => (&self.own, "own"),
            true => (&self.other, "other"),
        };
        let point = key.public_key().as_ref();
        let rsa = ring::rsa::PublicKeyComponents::<Vec<u8>>::from(self.rsa.public());
        json!({"keys": [
            {"kty": "OCT-something-new", "kid": "new"},
            {"kty": "EC", "crv": "P-256", "use": "sig", "kid": id,
                "x": b64(&point[1..33]), "y": b64(&point[33..])},
            {"kty": "RSA", "alg": "RS256", "kid": "rsa", "n": b64(rsa.n), "e": b64(rsa.e)},
        ]})
    }

    /// What a browser does that is sent there: where it comes back to.
    pub(super) fn enter(&self, location: &str) -> (String, HashMap<String, String>) {
        let url: Url = location.parse().unwrap();
        assert!(location.starts_with(&format!("{}/enter?tenant=a&", self.name())));
        let asked: HashMap<String, String> = url.query_pairs().into_owned().collect();
        for (name, wanted) in [
            ("response_type", "code"),
            ("client_id", CLIENT),
            ("scope", "openid profile email"),
            ("code_challenge_method", "S256"),
        ] {
            assert_eq!(asked[name], wanted);
        }
        let code = Uuid::new_v4().to_string();
        let grant = Grant {
            nonce: asked["nonce"].clone(),
            challenge: asked["code_challenge"].clone(),
            back: asked["redirect_uri"].clone(),
        };
        self.grants.lock().unwrap().insert(code.clone(), grant);
        let query = form_urlencoded::Serializer::new(String::new())
            .append_pair("code", &code)
            .append_pair("state", &asked["state"])
            .finish();
        (format!("/sign-in/callback?{query}"), asked)
    }

    fn token(&self, headers: &HeaderMap, body: &str) -> (u16, String) {
        self.saw("token");
        let form: HashMap<_, _> = form_urlencoded::parse(body.as_bytes())
            .into_owned()
            .collect();
        let coded =
            |text: &str| form_urlencoded::byte_serialize(text.as_bytes()).collect::<String>();
        let basic = BASE64_STANDARD.encode(format!("{}:{}", coded(CLIENT), coded(SECRET)));
        let header = headers
            .get("authorization")
            .map(|one| one.to_str().unwrap());
        let posted = |name: &str| form.get(name).map(String::as_str);
        let sent = (header, posted("client_id"), posted("client_secret"));
        let proven = match *self.proof.lock().unwrap() {
            Proof::Basic => sent == (Some(&*format!("Basic {basic}")), None, None),
            Proof::Post => sent == (None, Some(CLIENT), Some(SECRET)),
            Proof::None => sent == (None, Some(CLIENT), None),
        };
        let lies = self.lies.lock().unwrap().clone();
        if let Some(answer) = lies.answer {
            return answer;
        }
        let refused = (400, json!({"error": "invalid_grant"}).to_string());
        // A code is good once.
        let Some(grant) = self.grants.lock().unwrap().remove(&form["code"]) else {
            return refused;
        };
        let challenge = b64(Sha256::digest(&form["code_verifier"]));
        if !proven || challenge != grant.challenge || form["redirect_uri"] != grant.back {
            return refused;
        }
        let token = self.id_token(&grant.nonce, &lies);
        let answer = json!({"access_token": "a", "token_type": "Bearer", "id_token": token});
        (200, answer.to_string())
    }

    fn id_token(&self, nonce: &str, lies: &Lies) -> String {
        let now = SystemTime::now()
            .duration_since(UNIX_EPOCH)
            .unwrap()
            .as_secs();
        let mut claims = json!({
            "iss": self.name(), "aud": CLIENT, "sub": SUBJECT, "nonce": nonce,
            "iat": now, "exp": now + 300, "email": "ann@example.net", "email_verified": true,
        });
        for (name, value) in &lies.claims {
            match value {
                Some(value) => claims[*name] = value.clone(),
                None => drop(claims.as_object_mut().unwrap().remove(*name)),
            }
        }
        let (alg, kid) = match lies.signature {
            Signature::Rs256 => ("RS256", "rsa"),
            Signature::None => ("none", "own"),
            Signature::Hs256 => ("HS256", "own"),
            Signature::OtherId => ("ES256", "other"),
            _ => ("ES256", "own"),
        };
        let header = json!({"alg": alg, "kid": kid, "typ": "JWT"});
        let text = format!("{}.{}", b64(header.to_string()), b64(claims.to_string()));
        let random = SystemRandom::new();
        let es = |key: &EcdsaKeyPair| b64(key.sign(&random, text.as_bytes()).unwrap());
        let signature = match lies.signature {
            Signature::Es256 => es(&self.own),
            Signature::OtherKey | Signature::OtherId => es(&self.other),
            Signature::Broken => b64([0; 64]),
            Signature::None => String::new(),
            Signature::Hs256 => {
                let secret = hmac::Key::new(hmac::HMAC_SHA256, self.own.public_key().as_ref());
                b64(hmac::sign(&secret, text.as_bytes()))
            }
            Signature::Rs256 => {
                let mut signature = vec![0; self.rsa.public().modulus_len()];
                self.rsa
                    .sign(&RSA_PKCS1_SHA256, &random, text.as_bytes(), &mut signature)
                    .unwrap();
                b64(signature)
            }
        };
        format!("{text}.{signature}")
    }
}
