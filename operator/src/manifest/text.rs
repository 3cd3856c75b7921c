//! Bytes become text, and text becomes documents.

use std::borrow::Cow;

use super::Fault;
use crate::Reason;

/// A document's text, ending with a newline.
pub(super) struct Chunk<'a> {
    /// The line of the file where it begins, from 1.
    pub(super) line: u32,
    pub(super) text: Cow<'a, str>,
}

/// As `kubectl`: UTF-16 by its mark, else UTF-8, in which bytes that are none are replaced.
pub(super) fn decode(bytes: &[u8]) -> Cow<'_, str> {
    let utf16 = |bytes: &[u8], unit: fn([u8; 2]) -> u16| {
        let units = bytes.chunks_exact(2).map(|pair| unit([pair[0], pair[1]]));
        char::decode_utf16(units)
            .map(|c| c.unwrap_or(char::REPLACEMENT_CHARACTER))
            .collect::<String>()
    };
    match bytes {
        [0xff, 0xfe, rest @ ..] => utf16(rest, u16::from_le_bytes).into(),
        [0xfe, 0xff, rest @ ..] => utf16(rest, u16::from_be_bytes).into(),
        [0xef, 0xbb, 0xbf, rest @ ..] => String::from_utf8_lossy(rest),
        _ => String::from_utf8_lossy(bytes),
    }
}

/// Splits at lines that begin with `---`, before any parsing, as `kubectl` does.
pub(super) fn chunks(text: &str) -> Vec<Result<Chunk<'_>, Fault>> {
    let mut chunks = Vec::new();
    // Where the current document begins, as an offset and a line.
    let mut start = (0, 1);
    let mut offset = 0;
    for (number, line) in (1..).zip(text.split_inclusive('\n')) {
        let begin = offset;
        offset += line.len();
        let Some(rest) = line.strip_prefix("---") else {
            continue;
        };
        chunks.extend(chunk(&text[start.0..begin], start.1).map(Ok));
        start = (offset, number + 1);
        let rest = rest.trim();
        if !rest.is_empty() && !rest.starts_with('#') {
            chunks.push(Err(Fault {
                line: number,
                reason: Reason::InvalidYaml,
                message: "nothing but a comment may follow --- on its line: begin the document on the next".to_owned(),
            }));
        }
    }
    chunks.extend(chunk(&text[start.0..], start.1).map(Ok));
    chunks
}

fn chunk(text: &str, line: u32) -> Option<Chunk<'_>> {
    let text = text.trim_start_matches('\u{feff}');
    (!text.trim().is_empty()).then(|| Chunk {
        line,
        text: normal(text),
    })
}

/// What `kubectl`'s parser takes as a line break, and the end of the last line.
fn normal(text: &str) -> Cow<'_, str> {
    // A next-line character ends a line in YAML 1.1 and is text in 1.2.
    let mut text = if text.contains('\u{85}') {
        Cow::Owned(text.replace('\u{85}', "\n"))
    } else {
        Cow::Borrowed(text)
    };
    if !text.ends_with('\n') {
        text.to_mut().push('\n');
    }
    text
}
