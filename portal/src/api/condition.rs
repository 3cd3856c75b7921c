//! `If-Match` and `If-None-Match` of a request, and the `ETag` of an answer.

use http::{
    HeaderMap, HeaderName, HeaderValue,
    header::{ETAG, IF_MATCH, IF_NONE_MATCH},
};

use super::refusal::Refusal;
use crate::store::Condition;

/// How often a PATCH is tried again on what others have changed in between.
pub(super) const TRIES: usize = 16;

/// What the caller believes of what it writes.
pub(super) fn read(headers: &HeaderMap) -> Result<Condition, Refusal> {
    Ok(Condition {
        if_match: tags(headers, &IF_MATCH)?,
        if_none_match: tags(headers, &IF_NONE_MATCH)?,
    })
}

/// The header that tells the version of what is answered.
pub(super) fn etag(etag: &str) -> [(HeaderName, HeaderValue); 1] {
    let value = HeaderValue::from_str(&format!("\"{etag}\"")).expect("our etags are plain text");
    [(ETAG, value)]
}

/// The etags that a header names, without their quotes; those without any are taken too. Ours hold
/// no comma.
fn tags(headers: &HeaderMap, name: &HeaderName) -> Result<Option<Vec<String>>, Refusal> {
    let mut found = None;
    for value in headers.get_all(name) {
        let value = value
            .to_str()
            .ok()
            .filter(|value| !value.trim().is_empty())
            .ok_or_else(|| Refusal::bad_header(name))?;
        let tags = value.split(',').map(|tag| {
            let tag = tag.trim();
            let tag = tag.strip_prefix("W/").unwrap_or(tag);
            tag.trim_matches('"').to_owned()
        });
        found.get_or_insert_with(Vec::new).extend(tags);
    }
    Ok(found)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn etags_are_read_as_clients_write_them() {
        let table = [
            (&[][..], None),
            (&["\"a\""], Some(vec!["a"])),
            (&["a"], Some(vec!["a"])),
            (&["*"], Some(vec!["*"])),
            (&["W/\"a\" , \"b\"", "\"c\""], Some(vec!["a", "b", "c"])),
        ];
        for (values, wanted) in table {
            let mut headers = HeaderMap::new();
            for value in values {
                headers.append(IF_MATCH, HeaderValue::from_static(value));
            }
            let found = read(&headers).unwrap();
            let wanted = wanted.map(|tags| tags.into_iter().map(str::to_owned).collect());
            assert_eq!(found.if_match, wanted, "{values:?}");
            assert_eq!(found.if_none_match, None);
        }
        for value in ["", " ", "\u{e9}"] {
            let mut headers = HeaderMap::new();
            let value = HeaderValue::from_bytes(value.as_bytes()).unwrap();
            headers.append(IF_NONE_MATCH, value);
            assert!(read(&headers).is_err());
        }
    }
}
