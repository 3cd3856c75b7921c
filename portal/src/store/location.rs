//! Where the database is: a file, or a PostgreSQL server.

use std::{
    fmt,
    net::IpAddr,
    path::{Path, PathBuf},
};

use percent_encoding::{NON_ALPHANUMERIC, percent_encode};
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use url::Url;

use super::StoreError;

/// What the URL of a PostgreSQL server begins with.
const SCHEMES: [&str; 2] = ["postgres://", "postgresql://"];

/// The database's place, as the settings write it: the path of an SQLite file, or
/// `postgres://user@host/database?sslrootcert=ca.crt`. A password is better left to `PGPASSWORD` or
/// `PGPASSFILE`; one in the URL is not printed.
#[derive(Clone, PartialEq, Eq)]
pub struct Location(pub(super) Place);

#[derive(Clone, PartialEq, Eq)]
pub(super) enum Place {
    File(PathBuf),
    Postgres(Url),
}

/// A text that is no place of a database.
#[derive(Debug, thiserror::Error)]
#[error("this is no URL of a PostgreSQL database")]
pub struct LocationError(#[from] url::ParseError);

impl Location {
    /// The SQLite file at `path`.
    pub fn file(path: impl Into<PathBuf>) -> Self {
        Self(Place::File(path.into()))
    }

    /// Reads what the settings write.
    ///
    /// # Errors
    /// When it begins as the URL of a server and is none.
    pub fn parse(text: &str) -> Result<Self, LocationError> {
        if !SCHEMES.iter().any(|scheme| text.starts_with(scheme)) {
            return Ok(Self::file(text));
        }
        let mut url: Url = text.parse()?;
        // The driver would go on without TLS where the server has none.
        if !is_local(&url) && !names(&url, &["sslmode", "ssl-mode"]) {
            url.query_pairs_mut().append_pair("sslmode", "verify-full");
        }
        Ok(Self(Place::Postgres(url)))
    }

    /// The URL that the driver takes.
    pub(super) fn url(&self) -> Result<Url, StoreError> {
        match &self.0 {
            Place::Postgres(url) => Ok(url.clone()),
            Place::File(path) => sqlite_url(path).map_err(|source| StoreError::Create {
                path: path.clone(),
                source,
            }),
        }
    }
}

fn sqlite_url(path: &Path) -> std::io::Result<Url> {
    use std::os::unix::ffi::OsStrExt as _;
    let path = std::path::absolute(path)?;
    // Every byte that could mean something in a URL is escaped; the driver undoes it.
    let path = percent_encode(path.as_os_str().as_bytes(), NON_ALPHANUMERIC);
    Ok(Url::parse(&format!("sqlite:{path}")).expect("a scheme and letters are a URL"))
}

/// Whether the bytes stay on this machine.
fn is_local(url: &Url) -> bool {
    let host = url.host_str().unwrap_or_default();
    let socket = host.is_empty() || host.starts_with("%2F") || host.starts_with("%2f");
    let loopback = host
        .trim_matches(['[', ']'])
        .parse::<IpAddr>()
        .is_ok_and(|ip| ip.is_loopback());
    (socket || loopback || host == "localhost") && !names(url, &["host", "hostaddr"])
}

fn names(url: &Url, keys: &[&str]) -> bool {
    url.query_pairs().any(|(key, _)| keys.contains(&&*key))
}

impl fmt::Display for Location {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.0 {
            Place::File(path) => path.display().fmt(f),
            Place::Postgres(url) => {
                let mut url = url.clone();
                // The query may hold a password too.
                url.set_query(None);
                let _ = url.set_password(None);
                url.fmt(f)
            }
        }
    }
}

impl fmt::Debug for Location {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl<'de> Deserialize<'de> for Location {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        Self::parse(&text).map_err(serde::de::Error::custom)
    }
}

impl Serialize for Location {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bytes_that_leave_the_machine_need_tls_that_is_checked() {
        let table = [
            ("postgres://u@db.example.net/d", true),
            ("postgresql://u@10.0.0.7/d", true),
            ("postgres://u@localhost/d?host=db.example.net", true),
            ("postgres://u@localhost/d", false),
            ("postgres://u@127.0.0.1:5433/d", false),
            ("postgres://u@[::1]/d", false),
            ("postgres:///d", false),
            ("postgres://u@%2Frun%2Fpostgresql/d", false),
            ("postgres://u@db.example.net/d?sslmode=require", false),
        ];
        for (text, added) in table {
            let url = Location::parse(text).unwrap().url().unwrap();
            assert_eq!(url.as_str().contains("sslmode=verify-full"), added, "{url}");
        }
    }

    #[test]
    fn what_is_no_server_is_a_file_whatever_its_name() {
        let location = Location::parse("a folder?/x#y%20.db").unwrap();
        let url = location.url().unwrap();
        assert!(url.as_str().starts_with("sqlite:"), "{url}");
        assert!(url.query().is_none() && url.fragment().is_none(), "{url}");
        assert!(Location::parse("postgres://[").is_err());
    }

    #[test]
    fn passwords_are_not_printed() {
        for text in [
            "postgres://u:canary@h/d",
            "postgres://u@h/d?password=canary",
        ] {
            let location = Location::parse(text).unwrap();
            assert_eq!(location.to_string(), "postgres://u@h/d");
            assert!(!format!("{location:?}").contains("canary"));
            assert!(!serde_json::to_string(&location).unwrap().contains("canary"));
        }
    }
}
