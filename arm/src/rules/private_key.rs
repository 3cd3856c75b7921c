//! `sshPrivateKey`: one private key in PEM. Its form is checked, not its arithmetic: that it opens
//! the repository is known only when it does.

use base64::{Engine as _, prelude::BASE64_STANDARD};

use crate::Secret;

const LABELS: [&str; 5] = [
    "OPENSSH PRIVATE KEY",
    "RSA PRIVATE KEY",
    "EC PRIVATE KEY",
    "DSA PRIVATE KEY",
    "PRIVATE KEY",
];

/// What is wrong with it, if anything; says nothing of the key.
pub(super) fn problem(key: &Secret) -> Option<&'static str> {
    const WRONG: Option<&str> = Some(
        "this is no private key in PEM form (-----BEGIN OPENSSH PRIVATE KEY----- or the like)",
    );
    const ENCRYPTED: Option<&str> =
        Some("the private key is protected by a passphrase, for which there is no setting");
    let text = key.expose();
    let Some(rest) = text.trim().strip_prefix("-----BEGIN ") else {
        return WRONG;
    };
    let Some((label, rest)) = rest.split_once("-----") else {
        return WRONG;
    };
    if label == "ENCRYPTED PRIVATE KEY" || rest.contains("Proc-Type: 4,ENCRYPTED") {
        return ENCRYPTED;
    }
    let end = format!("-----END {label}-----");
    let Some(body) = rest
        .strip_suffix(end.as_str())
        .filter(|_| LABELS.contains(&label))
    else {
        return WRONG;
    };
    let Ok(bytes) = BASE64_STANDARD.decode(body.split_ascii_whitespace().collect::<String>())
    else {
        return WRONG;
    };
    if label == "OPENSSH PRIVATE KEY" {
        // PROTOCOL.key: the magic, then the name of the cipher.
        let Some(rest) = bytes.strip_prefix(b"openssh-key-v1\0") else {
            return WRONG;
        };
        if !rest.starts_with(b"\0\0\0\x04none") {
            return ENCRYPTED;
        }
    } else if bytes.first() != Some(&0x30) {
        // The others are a DER SEQUENCE.
        return WRONG;
    }
    // libssh2 and OpenSSH both refuse a key whose last line has no end.
    (!text.ends_with('\n')).then_some("the private key must end with a line break")
}
