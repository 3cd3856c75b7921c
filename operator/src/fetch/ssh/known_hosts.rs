//! Which key a server must show: one that the configuration's known hosts name, in the format of
//! sshd(8), or one of the great Git hosts, which are known. Pure. No key is ever learned by being
//! shown.

use std::str::FromStr as _;

use ring::hmac;
use russh::keys::{
    Algorithm, EcdsaCurve, HashAlg, PublicKey,
    ssh_key::known_hosts::{Entry, HostPatterns, Marker},
};

use super::Address;

/// SHA-256 fingerprints of keys of hosts that need not be told, as their owners publish them.
const BUILT_IN: [(&str, &[&str]); 5] = [
    // https://docs.github.com/authentication/keeping-your-account-and-data-secure/githubs-ssh-key-fingerprints
    // and https://api.github.com/meta.
    (
        "github.com",
        &[
            "SHA256:+DiY3wvvV6TuJJhbpZisF/zLDA0zPMSvHdkr4UvCOqU", // Ed25519
            "SHA256:p2QAMXNIC1TJYWeIOttrVc98/R1BUFWu3/LiyKgUfQM", // ECDSA
            "SHA256:uNiVztksCsDhcc0u9e8BujQXVUpKZIDTMczCvj3tD2s", // RSA
        ],
    ),
    // https://docs.gitlab.com/user/gitlab_com/#ssh-host-keys-fingerprints
    (
        "gitlab.com",
        &[
            "SHA256:eUXGGm1YGsMAS7vkcx6JOJdOGHPem5gQp4taiCfCLB8", // Ed25519
            "SHA256:HbW3g8zUjNSksFbqTiUWPWg2Bq1x8xdGUrliXFzSnUw", // ECDSA
            "SHA256:ROQFvPThGrW4RuWLoL9tq9I9zJ42fK4XywyRtbOz/EQ", // RSA
        ],
    ),
    // https://bitbucket.org/site/ssh and https://bitbucket.org/blog/ssh-host-key-changes
    (
        "bitbucket.org",
        &[
            "SHA256:ybgmFkzwOSotHTHLJgHO0QN8L0xErw6vd0VhFA9m3SM", // Ed25519
            "SHA256:FC73VB6C4OQLSCrjEayhMp9UMxS97caD/Yyi2bhW/J0", // ECDSA
            "SHA256:46OSHA1Rmj8E8ERTC6xkNcmGOw9oFxYr0WF6zWW8l1E", // RSA
        ],
    ),
    // Azure DevOps shows them to those who have signed in; Argo CD's documentation and the tests of
    // Azure's own command line have the same.
    (
        "ssh.dev.azure.com",
        &["SHA256:ohD8VZEXGWo6Ez8GSEJQ9WpafgLFsOfLOtGGQCQo6Og"], // RSA
    ),
    (
        "vs-ssh.visualstudio.com",
        &["SHA256:ohD8VZEXGWo6Ez8GSEJQ9WpafgLFsOfLOtGGQCQo6Og"], // RSA
    ),
];

/// What is agreed on with a server of which no key is known, the best first. Not RSA with SHA-1.
const ALGORITHMS: [Algorithm; 6] = [
    Algorithm::Ed25519,
    Algorithm::Ecdsa {
        curve: EcdsaCurve::NistP256,
    },
    Algorithm::Ecdsa {
        curve: EcdsaCurve::NistP384,
    },
    Algorithm::Ecdsa {
        curve: EcdsaCurve::NistP521,
    },
    Algorithm::Rsa {
        hash: Some(HashAlg::Sha512),
    },
    Algorithm::Rsa {
        hash: Some(HashAlg::Sha256),
    },
];

/// The hosts of a file `known_hosts`.
#[derive(Clone, Debug, Default)]
pub struct KnownHosts(Vec<Entry>);

impl KnownHosts {
    /// Reads a file `known_hosts`.
    ///
    /// # Errors
    /// When a line cannot be read, which might revoke a key.
    pub fn read(text: &str) -> Result<Self, String> {
        let mut entries = Vec::new();
        for (index, line) in text.lines().enumerate() {
            // The parser wants one space between the words.
            let words: Vec<&str> = line.split_ascii_whitespace().collect();
            if words.first().is_none_or(|first| first.starts_with('#')) {
                continue;
            }
            let entry = Entry::from_str(&words.join(" ")).map_err(|_| {
                format!(
                    "line {} is not in the form of a known_hosts file: `host type key`",
                    index + 1
                )
            })?;
            entries.push(entry);
        }
        Ok(Self(entries))
    }

    fn of<'a>(&'a self, address: &'a Address) -> impl Iterator<Item = &'a Entry> {
        // A server on another port is known by it, and also by the host's name alone.
        let with_port = match address.port {
            22 => address.host.clone(),
            port => format!("[{}]:{port}", address.host),
        };
        let names = [with_port, address.host.clone()];
        let all = self.0.iter();
        all.filter(move |entry| matches(entry.host_patterns(), &names))
    }

    /// What to agree on with a server: first what its known keys are of, so that it shows one of
    /// those.
    pub(super) fn preferred(&self, address: &Address) -> Vec<Algorithm> {
        let known: Vec<Algorithm> = self
            .of(address)
            .filter(|entry| entry.marker().is_none())
            .map(|entry| entry.public_key().algorithm())
            .collect();
        let is_known = |algorithm: &Algorithm| match algorithm {
            Algorithm::Rsa { .. } => known.iter().any(|one| matches!(one, Algorithm::Rsa { .. })),
            other => known.contains(other),
        };
        let (mut first, rest): (Vec<_>, Vec<_>) = ALGORITHMS.into_iter().partition(is_known);
        first.extend(rest);
        first
    }

    /// Whether a server may show this key.
    ///
    /// # Errors
    /// When it may not: why, and what to do.
    pub(super) fn check(&self, address: &Address, shown: &PublicKey) -> Result<(), String> {
        let Address { host, .. } = address;
        let fingerprint = shown.fingerprint(HashAlg::Sha256).to_string();
        let algorithm = shown.algorithm();
        let mut others = false;
        let mut authorities = false;
        let mut known = false;
        for entry in self.of(address) {
            let same = entry.public_key().key_data() == shown.key_data();
            match entry.marker() {
                Some(Marker::Revoked) if same => {
                    return Err(format!(
                        "the host key that {host} shows, {fingerprint} ({algorithm}), is marked @revoked in the known hosts: find out why before anything else"
                    ));
                }
                Some(Marker::Revoked) => {}
                Some(Marker::CertAuthority) => authorities = true,
                None => {
                    known |= same;
                    others = true;
                }
            }
        }
        if known {
            return Ok(());
        }
        if authorities && !others {
            return Err(format!(
                "the known hosts have only a @cert-authority for {host}, and certificates of hosts are not supported: put its own key into the known hosts, once you have compared its fingerprint; it shows {fingerprint} ({algorithm})"
            ));
        }
        if !others && let Some((_, keys)) = BUILT_IN.iter().find(|(name, _)| name == host) {
            if keys.contains(&fingerprint.as_str()) {
                return Ok(());
            }
            others = true;
        }
        if others {
            return Err(format!(
                "{host} shows another host key than the known one: {fingerprint} ({algorithm}); someone may stand between. If its owner has published this as its new key, put it into the known hosts"
            ));
        }
        Err(format!(
            "the host key of {host} is not known: it shows {fingerprint} ({algorithm}). Compare that with what its owner publishes, then put the key into the known hosts (sshKnownHostsContents, or known_hosts of the Secret); ssh-keyscan prints the line"
        ))
    }
}

/// Whether a line is about a host, by any of its names; a `!` takes it out by any of them.
fn matches(patterns: &HostPatterns, names: &[String]) -> bool {
    match patterns {
        HostPatterns::HashedName { salt, hash } => {
            let key = hmac::Key::new(hmac::HMAC_SHA1_FOR_LEGACY_USE_ONLY, salt);
            let is_it = |name: &String| hmac::verify(&key, name.as_bytes(), hash).is_ok();
            names.iter().any(is_it)
        }
        HostPatterns::Patterns(patterns) => {
            let one_fits = |pattern: &str| {
                let pattern = pattern.to_ascii_lowercase();
                let mut names = names.iter();
                names.any(|name| fits(pattern.as_bytes(), name.as_bytes()))
            };
            let mut found = false;
            for pattern in patterns {
                match pattern.strip_prefix('!') {
                    Some(pattern) if one_fits(pattern) => return false,
                    Some(_) => {}
                    None => found |= one_fits(pattern),
                }
            }
            found
        }
    }
}

/// Whether a pattern with `*` and `?` is one of this text. In time of the product of their lengths:
/// after a mismatch it goes on from the last `*` alone.
fn fits(pattern: &[u8], text: &[u8]) -> bool {
    let (mut p, mut t) = (0, 0);
    let mut star: Option<(usize, usize)> = None;
    while t < text.len() {
        match pattern.get(p) {
            Some(b'*') => {
                star = Some((p + 1, t));
                p += 1;
            }
            Some(one) if *one == b'?' || *one == text[t] => {
                p += 1;
                t += 1;
            }
            _ => {
                let Some((after, from)) = star else {
                    return false;
                };
                star = Some((after, from + 1));
                (p, t) = (after, from + 1);
            }
        }
    }
    pattern[p..].iter().all(|one| *one == b'*')
}
