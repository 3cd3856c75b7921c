//! What a provider says of a person: a JWT, and whether it is to be believed.

use jsonwebtoken::{
    Algorithm, DecodingKey, Validation, decode, decode_header,
    jwk::{AlgorithmParameters, EllipticCurve, Jwk, KeyAlgorithm, PublicKeyUse},
};
use serde::Deserialize;
use serde_json::{Map, Value};
use subtle::ConstantTimeEq as _;

/// How far the provider's clock may differ.
const LEEWAY_SECONDS: u64 = 60;

/// What it must be.
pub(super) struct Expected<'a> {
    pub(super) issuer: &'a str,
    pub(super) client: &'a str,
    pub(super) nonce: &'a str,
}

/// What is looked at; the rest is kept for the claim that names the person.
#[derive(Deserialize)]
struct Claims {
    #[serde(default)]
    nonce: String,
    azp: Option<String>,
    aud: Value,
    #[serde(flatten)]
    rest: Map<String, Value>,
}

/// Why a token is not believed.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Doubt {
    /// No key that is known signed it; another one may be there by now.
    UnknownKey,
    /// Anything else.
    Wrong,
}

/// The claims of a token that one of these keys signed, if it is what was expected.
pub(super) fn read(
    token: &str,
    keys: &[Jwk],
    expected: &Expected<'_>,
) -> Result<Map<String, Value>, Doubt> {
    let header = decode_header(token).map_err(|_| Doubt::Wrong)?;
    let mut validation = Validation::new(header.alg);
    validation.leeway = LEEWAY_SECONDS;
    validation.validate_nbf = true;
    validation.set_audience(&[expected.client]);
    validation.set_issuer(&[expected.issuer]);
    validation.set_required_spec_claims(&["exp", "iss", "aud", "sub"]);
    let same_id = |key: &&Jwk| header.kid.is_none() || header.kid == key.common.key_id;
    let mut fitting = keys
        .iter()
        .filter(same_id)
        .filter(|key| fits(key, header.alg))
        .peekable();
    if fitting.peek().is_none() {
        return Err(Doubt::UnknownKey);
    }
    let claims = fitting
        .filter_map(|key| DecodingKey::from_jwk(key).ok())
        .find_map(|key| decode::<Claims>(token, &key, &validation).ok())
        .ok_or(Doubt::Wrong)?
        .claims;
    let same_nonce: bool = claims
        .nonce
        .as_bytes()
        .ct_eq(expected.nonce.as_bytes())
        .into();
    // OpenID Connect Core 3.1.3.7: of several audiences, one must be the party that it is for.
    let several = matches!(&claims.aud, Value::Array(all) if all.len() > 1);
    let for_us = match claims.azp.as_deref() {
        Some(party) => party == expected.client,
        None => !several,
    };
    if same_nonce && for_us {
        Ok(claims.rest)
    } else {
        Err(Doubt::Wrong)
    }
}

/// Whether a key is for signatures of that kind: so the token's word alone never decides how it is
/// looked at. Nothing is signed with a secret that both know, and nothing is unsigned.
fn fits(key: &Jwk, algorithm: Algorithm) -> bool {
    let signs = matches!(
        key.common.public_key_use,
        None | Some(PublicKeyUse::Signature)
    );
    let (family, name) = match (&key.algorithm, algorithm) {
        (AlgorithmParameters::RSA(_), Algorithm::RS256) => (true, KeyAlgorithm::RS256),
        (AlgorithmParameters::EllipticCurve(key), Algorithm::ES256) => {
            (key.curve == EllipticCurve::P256, KeyAlgorithm::ES256)
        }
        _ => return false,
    };
    signs && family && key.common.key_algorithm.is_none_or(|one| one == name)
}
