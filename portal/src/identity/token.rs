//! Tokens: JWTs that name a principal, signed by the portal, for the portal.

use gitmoor_arm::{Secret, Timestamp};
use jsonwebtoken::{Algorithm, DecodingKey, EncodingKey, Header, Validation, decode, encode};
use serde::{Deserialize, Serialize};
use time::Duration;
use uuid::Uuid;

use super::keys::Keys;

/// How long a token is good.
pub(crate) const LIFETIME: Duration = Duration::HOUR;

/// The longest that is ever given, on the command line alone.
pub(crate) const LONGEST_LIFETIME: Duration = Duration::DAY;

/// How far clocks may differ: tokens are signed and verified by portals of one database.
const LEEWAY_SECONDS: u64 = 30;

/// A token, to be sent as `Authorization: Bearer …`.
#[derive(Clone, Debug)]
pub struct Token {
    text: Secret,
    lifetime: Duration,
}

impl Token {
    /// The text that follows `Bearer`.
    pub fn expose(&self) -> &str {
        self.text.expose()
    }

    /// How long it is good from when it was made.
    pub(crate) fn lifetime(&self) -> Duration {
        self.lifetime
    }
}

/// What a token says. Nothing of what the principal may do: that is looked up.
#[derive(Serialize, Deserialize)]
struct Claims {
    iss: String,
    aud: String,
    sub: Uuid,
    oid: Uuid,
    appid: Uuid,
    tid: Uuid,
    idtyp: String,
    ver: String,
    iat: i64,
    nbf: i64,
    exp: i64,
}

/// Who signs, in the portal of that tenant; no address, since a portal may have several.
pub(crate) fn issuer(tenant: Uuid) -> String {
    format!("urn:gitmoor:{tenant}")
}

/// Whom tokens are for. Those of other portals, and of Azure, are for someone else.
fn audience(tenant: Uuid) -> String {
    format!("{}:portal", issuer(tenant))
}

/// No key signs. There always is one in a database that was opened.
#[derive(Debug, thiserror::Error)]
#[error("signing a token")]
pub(crate) struct SigningError(#[source] Option<jsonwebtoken::errors::Error>);

/// A token of that principal, from `now` on.
pub(crate) fn issue(
    keys: &Keys,
    tenant: Uuid,
    principal: Uuid,
    lifetime: Duration,
    now: Timestamp,
) -> Result<Token, SigningError> {
    let key = keys.signing().ok_or(SigningError(None))?;
    let now = now.0.unix_timestamp();
    let claims = Claims {
        iss: issuer(tenant),
        aud: audience(tenant),
        sub: principal,
        oid: principal,
        appid: principal,
        tid: tenant,
        idtyp: "app".to_owned(),
        ver: "1.0".to_owned(),
        iat: now,
        nbf: now,
        exp: now + lifetime.whole_seconds(),
    };
    let mut header = Header::new(Algorithm::ES256);
    header.kid = Some(key.id.clone());
    let text = encode(&header, &claims, &EncodingKey::from_ec_der(&key.private))
        .map_err(|error| SigningError(Some(error)))?;
    Ok(Token {
        text: text.into(),
        lifetime,
    })
}

/// The id of the key that a token says it is signed with.
pub(crate) fn key_id(text: &str) -> Option<String> {
    let header = jsonwebtoken::decode_header(text).ok()?;
    header.kid.filter(|_| header.alg == Algorithm::ES256)
}

/// The principal that a token names, if it is one of ours, for us, and good now.
pub(crate) fn verify(keys: &Keys, tenant: Uuid, text: &str) -> Option<Uuid> {
    let key = keys.find(&key_id(text)?)?;
    let mut validation = Validation::new(Algorithm::ES256);
    validation.leeway = LEEWAY_SECONDS;
    validation.validate_nbf = true;
    validation.set_audience(&[audience(tenant)]);
    validation.set_issuer(&[issuer(tenant)]);
    validation.set_required_spec_claims(&["exp", "nbf", "iss", "aud", "sub"]);
    let key = DecodingKey::from_ec_der(&key.public);
    let token = decode::<Claims>(text, &key, &validation).ok()?;
    Some(token.claims.oid)
}

#[cfg(test)]
mod tests {
    use super::*;
    use base64::{Engine as _, prelude::BASE64_URL_SAFE_NO_PAD};
    use serde_json::{Value, json};

    use crate::identity::{install_crypto, keys::KeyRow};

    fn keys() -> Keys {
        install_crypto();
        let now = Timestamp::now();
        Keys::read(vec![KeyRow::generate(now).unwrap()], now).unwrap()
    }

    /// A token whose header and claims are what the test makes of right ones.
    fn forged(keys: &Keys, tenant: Uuid, change: impl FnOnce(&mut Header, &mut Value)) -> String {
        let now = Timestamp::now().0.unix_timestamp();
        let id = Uuid::new_v4();
        let mut claims = json!({
            "iss": issuer(tenant), "aud": audience(tenant), "sub": id, "oid": id, "appid": id,
            "tid": tenant, "idtyp": "app", "ver": "1.0",
            "iat": now, "nbf": now, "exp": now + 3600,
        });
        let key = keys.signing().unwrap();
        let mut header = Header::new(Algorithm::ES256);
        header.kid = Some(key.id.clone());
        change(&mut header, &mut claims);
        encode(&header, &claims, &EncodingKey::from_ec_der(&key.private)).unwrap()
    }

    #[test]
    fn a_token_is_good_for_its_portal_alone_and_while_it_lasts() {
        let (keys, tenant) = (keys(), Uuid::new_v4());
        let principal = Uuid::new_v4();
        let now = Timestamp::now();
        let token = issue(&keys, tenant, principal, LIFETIME, now).unwrap();
        assert_eq!(verify(&keys, tenant, token.expose()), Some(principal));
        assert_eq!(verify(&keys, Uuid::new_v4(), token.expose()), None);
        assert_eq!(verify(&self::keys(), tenant, token.expose()), None);
        for shift in [-Duration::HOUR - Duration::MINUTE, Duration::MINUTE * 2] {
            let then = Timestamp(now.0 + shift);
            let token = issue(&keys, tenant, principal, LIFETIME, then).unwrap();
            assert_eq!(verify(&keys, tenant, token.expose()), None, "{shift}");
        }
    }

    #[test]
    fn a_token_that_was_made_in_another_way_is_refused() {
        let (keys, tenant) = (keys(), Uuid::new_v4());
        let right = forged(&keys, tenant, |_, _| {});
        assert!(verify(&keys, tenant, &right).is_some());
        let claims = [
            ("aud", json!("https://management.azure.com")),
            ("aud", json!([])),
            ("aud", Value::Null),
            ("iss", json!("urn:gitmoor:other")),
            ("iss", Value::Null),
            ("exp", json!("never")),
            ("exp", Value::Null),
            ("nbf", json!("now")),
            ("nbf", Value::Null),
            ("oid", json!("alice")),
            ("sub", Value::Null),
        ];
        for (name, value) in claims {
            let text = forged(&keys, tenant, |_, claims| claims[name] = value.clone());
            assert_eq!(verify(&keys, tenant, &text), None, "{name}: {value}");
        }
        let other = forged(&keys, tenant, |header, _| header.kid = Some("x".to_owned()));
        let none = forged(&keys, tenant, |header, _| header.kid = None);
        let parts: Vec<&str> = right.split('.').collect();
        let header = |alg: &str| {
            let kid = &keys.signing().unwrap().id;
            BASE64_URL_SAFE_NO_PAD.encode(json!({"alg": alg, "typ": "JWT", "kid": kid}).to_string())
        };
        let texts = [
            other,
            none,
            format!("{}.{}.", parts[0], parts[1]),
            format!("{}.{}", parts[0], parts[1]),
            format!("{}.{}.", header("none"), parts[1]),
            format!("{}.{}.{}", header("HS256"), parts[1], parts[2]),
            format!("{}.{}.{}", header("RS256"), parts[1], parts[2]),
            format!("{right}.{}", parts[2]),
            right[1..].to_owned(),
            String::new(),
            ".".repeat(100),
        ];
        for text in texts {
            assert_eq!(verify(&keys, tenant, &text), None, "{text}");
        }
    }

    #[test]
    fn a_token_signed_with_the_public_key_as_a_secret_is_refused() {
        let (keys, tenant) = (keys(), Uuid::new_v4());
        let right = forged(&keys, tenant, |_, _| {});
        let claims = right.split('.').nth(1).unwrap();
        let key = keys.signing().unwrap();
        let header = json!({"alg": "HS256", "typ": "JWT", "kid": key.id}).to_string();
        let message = format!("{}.{claims}", BASE64_URL_SAFE_NO_PAD.encode(header));
        let secret = ring::hmac::Key::new(ring::hmac::HMAC_SHA256, &key.public);
        let tag = ring::hmac::sign(&secret, message.as_bytes());
        let text = format!("{message}.{}", BASE64_URL_SAFE_NO_PAD.encode(tag));
        assert_eq!(verify(&keys, tenant, &text), None);
    }
}
