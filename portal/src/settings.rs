//! The settings of the portal. Every one has a default, so an empty file is a complete one.

use std::{
    net::{Ipv4Addr, SocketAddr},
    num::NonZeroU32,
    path::PathBuf,
};

use gitmoor_arm::MAX_STATUS_BYTES;
use serde::{Deserialize, Serialize};

/// The settings of a portal.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
pub struct Settings {
    /// Where to listen. Port 0 takes a free one.
    pub listen: SocketAddr,
    /// The folder of what the portal keeps; made when it is missing.
    pub data_directory: PathBuf,
    /// The database; `portal.db` in the data directory when absent.
    pub database: Option<PathBuf>,
    /// The certificate that callers see. There is no way to serve without TLS.
    pub tls: TlsSettings,
    /// Bounds of what callers may ask for.
    pub limits: Limits,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            listen: (Ipv4Addr::LOCALHOST, 8443).into(),
            data_directory: "gitmoor-portal".into(),
            database: None,
            tls: TlsSettings::default(),
            limits: Limits::default(),
        }
    }
}

impl Settings {
    /// The database's file.
    pub fn database_path(&self) -> PathBuf {
        self.database
            .clone()
            .unwrap_or_else(|| self.data_directory.join("portal.db"))
    }
}

/// The certificate that callers see.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
pub struct TlsSettings {
    /// The certificate and its chain, PEM. A file that changes is read again.
    pub certificate: Option<PathBuf>,
    /// Its private key, PEM.
    pub key: Option<PathBuf>,
    /// Whether to make a certificate, and a CA of its own in the data directory, when none is
    /// given.
    pub generate: bool,
    /// The names and addresses for which to make it, besides those of this machine's loopback and
    /// the address to listen on.
    pub names: Vec<String>,
    /// How often to look whether the files changed, in seconds.
    pub reload_seconds: NonZeroU32,
}

impl Default for TlsSettings {
    fn default() -> Self {
        Self {
            certificate: None,
            key: None,
            generate: true,
            names: Vec::new(),
            reload_seconds: number(60),
        }
    }
}

/// Bounds of what callers may ask for.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
pub struct Limits {
    /// Connections at once; more wait to be accepted.
    pub connections: NonZeroU32,
    /// Requests at once of callers who have a token; more wait, as long as one may take.
    pub requests: NonZeroU32,
    /// How long a request may take, its body included, in seconds.
    pub request_seconds: NonZeroU32,
    /// The largest body of a request to the ARM API, in bytes.
    pub body_bytes: usize,
    /// The largest status report, in bytes.
    pub status_bytes: usize,
    /// Items on a page of a list; a page of large items has fewer.
    pub page_size: NonZeroU32,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            connections: number(4096),
            requests: number(256),
            request_seconds: number(30),
            // ARM allows 4 MiB; the largest configuration that passes the checks is far smaller.
            body_bytes: 512 * 1024,
            status_bytes: MAX_STATUS_BYTES,
            page_size: number(100),
        }
    }
}

const fn number(number: u32) -> NonZeroU32 {
    NonZeroU32::new(number).expect("the defaults are not zero")
}
