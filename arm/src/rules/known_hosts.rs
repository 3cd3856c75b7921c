//! `sshKnownHostsContents`: a known_hosts file, sshd(8), in base64.

use base64::{Engine as _, prelude::BASE64_STANDARD};

/// What is wrong with it, if anything.
pub(super) fn problem(contents: &str) -> Option<String> {
    let compact: String = contents.split_ascii_whitespace().collect();
    let text = BASE64_STANDARD
        .decode(compact)
        .ok()
        .and_then(|bytes| String::from_utf8(bytes).ok());
    let Some(text) = text else {
        return Some("the known hosts are no base64 of a UTF-8 text".into());
    };
    let wrong: Vec<String> = text
        .lines()
        .enumerate()
        .filter(|(_, line)| !right(line))
        .map(|(index, _)| (index + 1).to_string())
        .collect();
    if wrong.is_empty() {
        return None;
    }
    Some(format!(
        "not in the form of a known_hosts file (`host type key`): line {}",
        wrong.join(", ")
    ))
}

/// `[@marker] hosts type key [comment]`, where the key begins with its own type once more.
fn right(line: &str) -> bool {
    let line = line.trim();
    if line.is_empty() || line.starts_with('#') {
        return true;
    }
    let mut words = line.split_ascii_whitespace();
    let first = words.next().unwrap_or_default();
    if first.starts_with('@') {
        let marked = ["@cert-authority", "@revoked"].contains(&first);
        if !marked || words.next().is_none() {
            return false;
        }
    }
    let (Some(kind), Some(key)) = (words.next(), words.next()) else {
        return false;
    };
    let Ok(key) = BASE64_STANDARD.decode(key) else {
        return false;
    };
    key.split_first_chunk::<4>().is_some_and(|(length, rest)| {
        let length = u32::from_be_bytes(*length) as usize;
        rest.get(..length) == Some(kind.as_bytes())
    })
}
