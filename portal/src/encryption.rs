//! The key that everything in the database is sealed with, in the end: where it comes from, and what
//! it does. It is never in the database, so that the database alone shows nothing.

use std::{
    fmt, fs,
    io::{self, Write as _},
    os::unix::fs::OpenOptionsExt as _,
    path::{Path, PathBuf},
    str::FromStr,
};

use base64::{Engine as _, prelude::BASE64_STANDARD};
use gitmoor_arm::Secret;
use ring::{
    aead::{AES_256_GCM, Aad, LessSafeKey, NONCE_LEN, Nonce, UnboundKey},
    hmac,
    rand::{SecureRandom as _, SystemRandom},
};
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use sha2::{Digest as _, Sha256};
use url::Url;

/// How long a key is, in bytes.
pub(crate) const KEY: usize = 32;

/// The file of a key that nobody named.
const FILE: &str = "encryption.key";

mod vault;

pub use vault::Vault;

/// Which keys seal the database. A key is 32 bytes in base64, such as `openssl rand -base64 32`
/// prints.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
pub struct Encryption {
    /// Where the key is. When absent, it is in `encryption.key` in the data directory, and made there
    /// unless the database needs another one; portals that share a database must share it.
    pub key: Option<KeySource>,
    /// Where keys are that were in use before. While they are named here, portals that still have one
    /// of them as their key go on, and can start again; when a portal starts without them, they are of
    /// no use any more.
    pub previous: Vec<KeySource>,
    /// As whom Azure Key Vault is asked for keys that are there.
    pub vault: Option<Vault>,
}

/// Where a key is: `file:` and a path, `env:` and the name of an environment variable, or `vault:` and
/// the address of a secret in Azure Key Vault, such as
/// `vault:https://example.vault.azure.net/secrets/portal`, with or without a version.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum KeySource {
    /// A file that holds it.
    File(PathBuf),
    /// An environment variable that holds it.
    Environment(String),
    /// A secret of Azure Key Vault that is it.
    Vault(Url),
}

/// Why there is no key.
#[derive(Debug, thiserror::Error)]
pub enum EncryptionError {
    /// A setting says something else than where a key is.
    #[error(
        "`{0}` does not say where a key is: write file: and a path, env: and the name of a variable, or vault: and the https:// address of a secret in Azure Key Vault"
    )]
    Source(String),
    /// The file cannot be read, or made.
    #[error("reading the key {}", .0.display())]
    File(PathBuf, #[source] io::Error),
    /// What is in the database was sealed, and the file where the key should be is missing.
    #[error("the database is sealed with the key {id}, and {} is not there: put it back", file.display())]
    Missing {
        /// The file.
        file: PathBuf,
        /// What names the key.
        id: String,
    },
    /// There is no such variable.
    #[error("the environment variable {0}, which should hold a key, is not set")]
    Environment(String),
    /// A key is in Azure Key Vault, and nothing says as whom to ask for it.
    #[error("a key is in Azure Key Vault: set `encryption.vault.credential` as well")]
    NoCredential,
    /// Azure Key Vault does not give it.
    #[error("asking for the key {0}")]
    Vault(String, #[source] gitmoor_arm::Error),
    /// It is no key.
    #[error("{0} holds no key: 32 bytes in base64, such as `openssl rand -base64 32` prints")]
    Form(String),
    /// The machine gives no randomness.
    #[error("the machine gives no randomness")]
    Randomness,
    /// What is in the database was sealed with a key that is not among those that were given.
    #[error(
        "the database is sealed with the key {0}, which none of `encryption.key` and `encryption.previous` is"
    )]
    Unknown(String),
    /// What is in the database was not sealed by us, or for another place in it.
    #[error("what is in the database was changed by someone who has no key")]
    Forged,
}

impl FromStr for KeySource {
    type Err = EncryptionError;

    fn from_str(text: &str) -> Result<Self, EncryptionError> {
        match text.split_once(':') {
            Some(("file", path)) if !path.is_empty() => Ok(Self::File(path.into())),
            Some(("env", name)) if !name.is_empty() => Ok(Self::Environment(name.to_owned())),
            Some(("vault", url)) => vault::address(url)
                .map(Self::Vault)
                .ok_or_else(|| EncryptionError::Source("vault…".to_owned())),
            // It may be the key itself.
            _ => Err(EncryptionError::Source(
                text.chars().take(5).collect::<String>() + "…",
            )),
        }
    }
}

impl fmt::Display for KeySource {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::File(path) => write!(f, "file:{}", path.display()),
            Self::Environment(name) => write!(f, "env:{name}"),
            Self::Vault(url) => write!(f, "vault:{url}"),
        }
    }
}

impl<'de> Deserialize<'de> for KeySource {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        text.parse().map_err(serde::de::Error::custom)
    }
}

impl Serialize for KeySource {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl KeySource {
    /// What is there.
    pub(crate) async fn text(&self, vault: Option<&Vault>) -> Result<Secret, EncryptionError> {
        let text = match self {
            Self::Vault(url) => {
                let vault = vault.ok_or(EncryptionError::NoCredential)?;
                vault.secret(url).await?.expose().to_owned()
            }
            Self::File(path) => fs::read_to_string(path)
                .map_err(|source| EncryptionError::File(path.clone(), source))?,
            Self::Environment(name) => {
                std::env::var(name).map_err(|_| EncryptionError::Environment(name.clone()))?
            }
        };
        Ok(text.trim().to_owned().into())
    }

    async fn read(&self, vault: Option<&Vault>) -> Result<Key, EncryptionError> {
        let text = self.text(vault).await?;
        let bytes = BASE64_STANDARD.decode(text.expose()).ok();
        let bytes: Option<[u8; KEY]> = bytes.and_then(|bytes| bytes.try_into().ok());
        let bytes = bytes.ok_or_else(|| EncryptionError::Form(self.to_string()))?;
        Ok(Key::new(&bytes))
    }
}

/// The keys that the settings name, read.
#[derive(Debug)]
pub(crate) struct MasterKeys {
    pub(crate) current: Key,
    pub(crate) previous: Vec<Key>,
}

impl MasterKeys {
    /// Reads the keys for a database that those of these ids open, the newest last. A key that nobody
    /// named is made where it can become the database's.
    pub(crate) async fn read(
        settings: &Encryption,
        directory: &Path,
        sealed_by: &[String],
    ) -> Result<Self, EncryptionError> {
        let vault = settings.vault.as_ref();
        let mut previous = Vec::new();
        for source in &settings.previous {
            previous.push(source.read(vault).await?);
        }
        let current = match &settings.key {
            Some(source) => source.read(vault).await?,
            None => {
                let file = directory.join(FILE);
                let opens = |id: &String| previous.iter().any(|key: &Key| key.id() == id);
                if let Some(newest) = sealed_by.last()
                    && !sealed_by.iter().any(opens)
                    && !file.exists()
                {
                    let id = newest.clone();
                    return Err(EncryptionError::Missing { file, id });
                }
                make(&file).map_err(|source| EncryptionError::File(file.clone(), source))?;
                KeySource::File(file).read(None).await?
            }
        };
        Ok(Self { current, previous })
    }
}

/// Makes a key in a file that only its owner can read, unless there is one. Whole or not at all, and
/// once, however many do it at the same time.
fn make(file: &Path) -> io::Result<()> {
    if file.exists() {
        return Ok(());
    }
    let key = random::<KEY>().map_err(io::Error::other)?;
    let draft = file.with_extension(format!("{:032x}", rand::random::<u128>()));
    let mut options = fs::OpenOptions::new();
    let mut written = options
        .write(true)
        .create_new(true)
        .mode(0o600)
        .open(&draft)?;
    writeln!(written, "{}", BASE64_STANDARD.encode(key))?;
    written.sync_all()?;
    let linked = fs::hard_link(&draft, file);
    fs::remove_file(&draft)?;
    // What is sealed with it must not outlive it in a power cut.
    if let Some(directory) = file.parent() {
        fs::File::open(directory)?.sync_all()?;
    }
    match linked {
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => Ok(()),
        other => other,
    }
}

pub(crate) fn random<const N: usize>() -> Result<[u8; N], EncryptionError> {
    let mut bytes = [0; N];
    let filled = SystemRandom::new().fill(&mut bytes);
    filled.map_err(|_| EncryptionError::Randomness)?;
    Ok(bytes)
}

/// A key of the settings, for AES-256-GCM. It seals few values, so that nonces by chance are safe.
pub(crate) struct Key {
    id: String,
    key: LessSafeKey,
}

impl fmt::Debug for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Key({})", self.id)
    }
}

impl Key {
    pub(crate) fn new(bytes: &[u8; KEY]) -> Self {
        let digest: [u8; 32] = Sha256::digest(bytes).into();
        let id = digest[..8].iter().map(|byte| format!("{byte:02x}"));
        Self {
            id: id.collect(),
            key: aes(bytes),
        }
    }

    /// What names it without telling it: the beginning of its SHA-256.
    pub(crate) fn id(&self) -> &str {
        &self.id
    }

    /// Seals a value for a place, where alone it can be opened.
    pub(crate) fn seal(&self, place: &str, value: &[u8]) -> Result<Vec<u8>, EncryptionError> {
        seal(&self.key, place, value)
    }

    /// Opens what was sealed for a place.
    pub(crate) fn open(&self, place: &str, sealed: &[u8]) -> Result<Vec<u8>, EncryptionError> {
        open(&self.key, place, sealed)
    }
}

/// The length of a salt, in bytes.
const SALT: usize = 16;

/// What seals values without number: with nonces by chance a key of AES-256-GCM is good for four
/// billion, so each value has one of its own, derived from this one by a salt that lies before it.
pub(crate) struct DataKey {
    derive: hmac::Key,
    /// Itself, which sealed values before each had its own.
    plain: LessSafeKey,
}

impl DataKey {
    pub(crate) fn new(bytes: &[u8; KEY]) -> Self {
        Self {
            derive: hmac::Key::new(hmac::HMAC_SHA256, bytes),
            plain: aes(bytes),
        }
    }

    fn derived(&self, salt: &[u8; SALT]) -> LessSafeKey {
        let tag = hmac::sign(&self.derive, salt);
        aes(tag.as_ref().try_into().expect("SHA-256 has 32 bytes"))
    }

    /// Seals a value for a place, where alone it can be opened.
    pub(crate) fn seal(&self, place: &str, value: &[u8]) -> Result<Vec<u8>, EncryptionError> {
        let salt = random::<SALT>()?;
        let sealed = seal(&self.derived(&salt), place, value)?;
        Ok([&salt[..], &sealed].concat())
    }

    /// Opens what was sealed for a place.
    pub(crate) fn open(&self, place: &str, sealed: &[u8]) -> Result<Vec<u8>, EncryptionError> {
        let (salt, value) = sealed
            .split_first_chunk::<SALT>()
            .ok_or(EncryptionError::Forged)?;
        open(&self.derived(salt), place, value).or_else(|_| open(&self.plain, place, sealed))
    }
}

fn aes(bytes: &[u8; KEY]) -> LessSafeKey {
    LessSafeKey::new(UnboundKey::new(&AES_256_GCM, bytes).expect("32 bytes are a key"))
}

fn seal(key: &LessSafeKey, place: &str, value: &[u8]) -> Result<Vec<u8>, EncryptionError> {
    let nonce = random::<NONCE_LEN>()?;
    let mut sealed = value.to_vec();
    let sealing = key.seal_in_place_append_tag(
        Nonce::assume_unique_for_key(nonce),
        Aad::from(place),
        &mut sealed,
    );
    sealing.map_err(|_| EncryptionError::Forged)?;
    Ok([&nonce[..], &sealed].concat())
}

fn open(key: &LessSafeKey, place: &str, sealed: &[u8]) -> Result<Vec<u8>, EncryptionError> {
    let (nonce, sealed) = sealed
        .split_first_chunk::<NONCE_LEN>()
        .ok_or(EncryptionError::Forged)?;
    let mut value = sealed.to_vec();
    let nonce = Nonce::assume_unique_for_key(*nonce);
    let opened = key.open_in_place(nonce, Aad::from(place), &mut value);
    let length = opened.map_err(|_| EncryptionError::Forged)?.len();
    value.truncate(length);
    Ok(value)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_value_opens_at_its_place_with_its_key_alone() {
        let (key, other) = (DataKey::new(&[1; KEY]), DataKey::new(&[2; KEY]));
        let sealed = key.seal("here", b"canary").unwrap();
        assert!(!sealed.windows(6).any(|part| part == b"canary"));
        assert_eq!(key.open("here", &sealed).unwrap(), b"canary");
        for at in [0, 20, 40] {
            let mut changed = sealed.clone();
            changed[at] ^= 1;
            assert!(key.open("here", &changed).is_err(), "{at}");
        }
        for (key, place, sealed) in [
            (&other, "here", &sealed[..]),
            (&key, "there", &sealed),
            (&key, "here", &sealed[..20]),
            (&key, "here", &[]),
        ] {
            assert!(key.open(place, sealed).is_err());
        }
    }

    #[test]
    fn each_value_has_a_key_of_its_own_and_those_of_before_still_open() {
        let bytes = [1; KEY];
        let key = DataKey::new(&bytes);
        let (one, other) = (key.seal("p", b"v").unwrap(), key.seal("p", b"v").unwrap());
        assert_ne!(one[..SALT], other[..SALT]);
        // The data key itself does not open it.
        assert!(Key::new(&bytes).open("p", &one[SALT..]).is_err());
        let before = Key::new(&bytes).seal("p", b"v").unwrap();
        assert_eq!(key.open("p", &before).unwrap(), b"v");
        assert!(key.open("q", &before).is_err());
    }

    #[test]
    fn a_source_is_named_and_a_key_in_its_place_is_not_repeated() {
        let sources = [
            "file:/etc/gitmoor/key",
            "env:PORTAL_KEY",
            "vault:https://example.vault.azure.net/secrets/portal/0123",
        ];
        for text in sources {
            let source: KeySource = text.parse().unwrap();
            assert_eq!(source.to_string(), text);
        }
        for wrong in [
            "vault:http://example.vault.azure.net/secrets/portal",
            "vault:https://example.vault.azure.net/keys/portal",
            "vault:https://example.vault.azure.net/secrets/",
            "vault:https://me@example.vault.azure.net/secrets/portal",
            "vault:https://example.vault.azure.net/secrets/portal?a=b",
        ] {
            assert!(wrong.parse::<KeySource>().is_err(), "{wrong}");
        }
        let key = BASE64_STANDARD.encode([7; KEY]);
        let error = key.parse::<KeySource>().unwrap_err().to_string();
        assert!(!error.contains(&key[..8]), "{error}");
    }

    #[tokio::test]
    async fn a_key_is_made_once_and_is_its_owners_alone() {
        use std::os::unix::fs::PermissionsExt as _;
        let directory = tempfile::tempdir().unwrap();
        let settings = Encryption::default();
        let read = async || MasterKeys::read(&settings, directory.path(), &[]).await;
        let id = read().await.unwrap().current.id().to_owned();
        assert_eq!(read().await.unwrap().current.id(), id);
        let file = directory.path().join(FILE);
        assert_eq!(
            fs::metadata(&file).unwrap().permissions().mode() & 0o777,
            0o600
        );
        assert_eq!(fs::read_dir(directory.path()).unwrap().count(), 1);
        fs::write(&file, "too short").unwrap();
        let error = read().await.unwrap_err();
        assert!(matches!(error, EncryptionError::Form(_)), "{error}");
    }

    #[tokio::test]
    async fn no_key_is_made_for_a_database_that_it_could_not_open() {
        let directory = tempfile::tempdir().unwrap();
        let old = directory.path().join("old");
        fs::write(&old, BASE64_STANDARD.encode([1; KEY])).unwrap();
        let sealed_by = [Key::new(&[1; KEY]).id().to_owned()];
        let read = async |previous| {
            let settings = Encryption {
                previous,
                ..Encryption::default()
            };
            MasterKeys::read(&settings, directory.path(), &sealed_by).await
        };
        let error = read(Vec::new()).await.unwrap_err();
        assert!(matches!(error, EncryptionError::Missing { .. }), "{error}");
        assert!(!directory.path().join(FILE).exists());
        // It takes over from one that does.
        read(vec![KeySource::File(old)]).await.unwrap();
        assert!(directory.path().join(FILE).exists());
        read(Vec::new()).await.unwrap();
    }
}
