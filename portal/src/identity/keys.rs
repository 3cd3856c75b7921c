//! The keys that tokens are signed with, and when they change. A new key is published before it
//! signs, and an old one is kept until nothing that it signed is still good.

use base64::{Engine as _, prelude::BASE64_URL_SAFE_NO_PAD};
use gitmoor_arm::Timestamp;
use ring::{
    error::{KeyRejected, Unspecified},
    rand::SystemRandom,
    signature::{ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair, KeyPair as _},
};
use serde_json::{Value, json};
use time::Duration;
use uuid::Uuid;

use super::token::LONGEST_LIFETIME;

/// How long a key signs.
const PERIOD: Duration = Duration::days(30);

/// How long a key is known to everyone before it signs.
const NOTICE: Duration = Duration::days(1);

/// A key as it is kept.
#[derive(Clone)]
pub(crate) struct KeyRow {
    pub(crate) id: String,
    /// The private key, PKCS #8.
    pub(crate) private: Vec<u8>,
    pub(crate) created_at: Timestamp,
}

/// A key to sign and verify with.
pub(crate) struct Key {
    pub(crate) id: String,
    pub(crate) private: Vec<u8>,
    /// The point, uncompressed.
    pub(crate) public: Vec<u8>,
}

/// The keys in use.
pub(crate) struct Keys {
    keys: Vec<Key>,
    signing: usize,
}

/// Which of the keys are kept at a time, and whether another is due. The newest that has been known
/// for long enough signs; with none so old, the oldest does.
pub(crate) fn next_keys(mut rows: Vec<KeyRow>, now: Timestamp) -> (Vec<KeyRow>, bool) {
    rows.sort_by_key(|row| row.created_at);
    let due = rows
        .last()
        .is_none_or(|newest| now.0 - newest.created_at.0 >= PERIOD - NOTICE);
    let signing = signing(&rows, now);
    let replaced_at = rows.get(signing).map(|row| row.created_at.0 + NOTICE);
    // What was signed last by the one before must have ended.
    if replaced_at.is_some_and(|at| now.0 - at > LONGEST_LIFETIME + NOTICE) {
        rows.drain(..signing);
    }
    (rows, due)
}

fn signing(rows: &[KeyRow], now: Timestamp) -> usize {
    rows.iter()
        .rposition(|row| now.0 - row.created_at.0 >= NOTICE)
        .unwrap_or(0)
}

impl KeyRow {
    /// A new random key.
    pub(crate) fn generate(now: Timestamp) -> Result<Self, Unspecified> {
        let random = SystemRandom::new();
        let private = EcdsaKeyPair::generate_pkcs8(&ECDSA_P256_SHA256_FIXED_SIGNING, &random)?;
        Ok(Self {
            id: Uuid::new_v4().simple().to_string(),
            private: private.as_ref().to_vec(),
            created_at: now,
        })
    }
}

impl Keys {
    /// The keys of these rows, oldest first; at least one.
    pub(crate) fn read(rows: Vec<KeyRow>, now: Timestamp) -> Result<Self, KeyRejected> {
        let signing = signing(&rows, now);
        let read = |row: KeyRow| {
            let random = SystemRandom::new();
            let pair =
                EcdsaKeyPair::from_pkcs8(&ECDSA_P256_SHA256_FIXED_SIGNING, &row.private, &random)?;
            Ok(Key {
                id: row.id,
                public: pair.public_key().as_ref().to_vec(),
                private: row.private,
            })
        };
        let keys = rows.into_iter().map(read).collect::<Result<_, _>>()?;
        Ok(Self { keys, signing })
    }

    /// The key that signs.
    pub(crate) fn signing(&self) -> Option<&Key> {
        self.keys.get(self.signing)
    }

    /// Whether these are their ids.
    pub(crate) fn are(&self, ids: &[String]) -> bool {
        ids.len() == self.keys.len() && ids.iter().all(|id| self.find(id).is_some())
    }

    /// The key of that id.
    pub(crate) fn find(&self, id: &str) -> Option<&Key> {
        self.keys.iter().find(|key| key.id == id)
    }

    /// The public halves, as OpenID Connect publishes them.
    pub(crate) fn key_set(&self) -> Value {
        let keys: Vec<Value> = self
            .keys
            .iter()
            .map(|key| {
                // 0x04, then both coordinates of 32 bytes.
                let (x, y) = key.public[1..].split_at(32);
                json!({
                    "kty": "EC", "crv": "P-256", "alg": "ES256", "use": "sig", "kid": key.id,
                    "x": BASE64_URL_SAFE_NO_PAD.encode(x),
                    "y": BASE64_URL_SAFE_NO_PAD.encode(y),
                })
            })
            .collect();
        json!({"keys": keys})
    }
}

#[cfg(test)]
mod tests {
    use time::macros::datetime;

    use super::*;

    fn row(id: &str, day: i64) -> KeyRow {
        KeyRow {
            id: id.to_owned(),
            private: Vec::new(),
            created_at: at(day),
        }
    }

    fn at(day: i64) -> Timestamp {
        Timestamp(datetime!(2026-01-01 00:00:00 UTC) + Duration::days(day))
    }

    #[test]
    fn a_key_is_published_before_it_signs_and_kept_while_what_it_signed_is_good() {
        // Of each day: the days on which keys were made, how many are kept, which of them signs, and
        // whether another is made.
        let table = [
            (0, &[][..], 0, None, true),
            (0, &[0], 1, Some(0), false),
            (28, &[0], 1, Some(0), false),
            (29, &[0], 1, Some(0), true),
            (29, &[0, 29], 2, Some(0), false),
            (30, &[29, 0], 2, Some(29), false),
            (32, &[0, 29], 2, Some(29), false),
            (33, &[0, 29], 1, Some(29), false),
        ];
        for (day, days, kept, signs, due) in table {
            let rows = days.iter().map(|day| row("key", *day)).collect();
            let (rows, made) = next_keys(rows, at(day));
            assert_eq!((rows.len(), made), (kept, due), "day {day}");
            let signing = rows.get(signing(&rows, at(day)));
            assert_eq!(
                signing.map(|row| row.created_at),
                signs.map(at),
                "day {day}"
            );
        }
    }

    #[test]
    fn the_key_set_holds_no_private_half() {
        let rows = vec![KeyRow::generate(at(0)).unwrap()];
        let private = rows[0].private.clone();
        let keys = Keys::read(rows, at(0)).unwrap();
        let set = keys.key_set();
        let key = set["keys"][0].as_object().unwrap();
        assert_eq!(key["x"].as_str().unwrap().len(), 43);
        assert!(!key.contains_key("d"));
        // The private key proper: 32 bytes after the header of PKCS #8.
        let secret = BASE64_URL_SAFE_NO_PAD.encode(&private[36..68]);
        assert!(!set.to_string().contains(&secret));
    }
}
