//! Bytes become text, and text becomes documents.

use std::borrow::Cow;

use super::Fault;

/// A document's text.
pub(super) struct Chunk<'a> {
    /// The line of the file where it begins, from 1.
    pub(super) line: u32,
    /// Ends with a newline.
    pub(super) text: Cow<'a, str>,
}

/// As `kubectl`: UTF-16 by its mark, else UTF-8, in which bytes that are none are replaced.
pub(super) fn decode(bytes: &[u8]) -> Cow<'_, str> {
    let utf16 = |bytes: &[u8], unit: fn([u8; 2]) -> u16| {
        let pairs = bytes.chunks_exact(2);
        let odd = pairs.remainder().first();
        let units = pairs.map(|pair| unit([pair[0], pair[1]]));
        let text = char::decode_utf16(units).map(|c| c.unwrap_or(char::REPLACEMENT_CHARACTER));
        text.chain(odd.map(|_| char::REPLACEMENT_CHARACTER))
            .collect::<String>()
    };
    match bytes {
        [0xff, 0xfe, rest @ ..] => utf16(rest, u16::from_le_bytes).into(),
        [0xfe, 0xff, rest @ ..] => utf16(rest, u16::from_be_bytes).into(),
        [0xef, 0xbb, 0xbf, rest @ ..] => String::from_utf8_lossy(rest),
        _ => String::from_utf8_lossy(bytes),
    }
}

/// Splits at lines that begin with `---`, before any parsing, as `kubectl` does. Such a line belongs
/// to the document that it begins where none stands before it, and otherwise to neither.
pub(super) fn chunks(
    text: &str,
    first_line: u32,
) -> impl Iterator<Item = Result<Chunk<'_>, Fault>> {
    let mut offset = 0;
    let mut line = first_line;
    let mut bad = None;
    std::iter::from_fn(move || {
        if let Some(fault) = bad.take() {
            return Some(Err(fault));
        }
        let (begin, begin_line) = (offset, line);
        for one in text[begin..].split_inclusive('\n') {
            let at = offset;
            offset += one.len();
            line += 1;
            let Some(rest) = one.strip_prefix("---") else {
                continue;
            };
            let rest = rest.trim();
            let is_separator = rest.is_empty() || rest.starts_with('#');
            if !is_separator {
                bad = Some(Fault::invalid(
                    line - 1,
                    "nothing but a comment may follow --- on its line: begin the document on the next",
                ));
            }
            if at > begin {
                return Some(Ok(chunk(&text[begin..at], begin_line)));
            }
            if let Some(fault) = bad.take() {
                return Some(Err(fault));
            }
        }
        (begin < text.len()).then(|| Ok(chunk(&text[begin..], begin_line)))
    })
}

fn chunk(text: &str, line: u32) -> Chunk<'_> {
    let mut text = Cow::Borrowed(text.strip_prefix('\u{feff}').unwrap_or(text));
    // A line may end with both, and `kubectl` reads line by line.
    if text.contains("\r\n") {
        text = text.replace("\r\n", "\n").into();
    }
    if !text.ends_with('\n') {
        // A lone carriage return would be a line break of its own.
        if text.ends_with('\r') {
            text.to_mut().pop();
        }
        text.to_mut().push('\n');
    }
    Chunk { line, text }
}

/// The first character that YAML does not allow, and its line.
pub(super) fn forbidden(text: &str) -> Option<(u32, char)> {
    let allowed = |c: char| matches!(c, '\t' | '\n' | '\r' | ' '..='~' | '\u{85}' | '\u{a0}'..='\u{d7ff}' | '\u{e000}'..='\u{fffd}' | '\u{10000}'..);
    let at = text.find(|c| !allowed(c))?;
    let line = text[..at].bytes().filter(|byte| *byte == b'\n').count() + 1;
    let character = text[at..].chars().next()?;
    Some((u32::try_from(line).unwrap_or(u32::MAX), character))
}
