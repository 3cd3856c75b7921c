//! White space in which the parser differs from `kubectl`'s: tabs, and Unicode's line separators.

use std::borrow::Cow;

/// A text whose lines begin with spaces where they began with tabs, and the numbers of these lines;
/// nothing when there are none.
pub(super) fn spaced(text: &str) -> Option<(String, Vec<u32>)> {
    let mut lines = Vec::new();
    let mut spaced = String::with_capacity(text.len());
    for (number, line) in (1..).zip(text.split_inclusive('\n')) {
        let rest = line.trim_start_matches([' ', '\t']);
        let indent = &line[..line.len() - rest.len()];
        if indent.contains('\t') {
            lines.push(number);
            spaced.push_str(&" ".repeat(indent.len()));
        } else {
            spaced.push_str(indent);
        }
        spaced.push_str(rest);
    }
    (!lines.is_empty()).then_some((spaced, lines))
}

/// The first blank line in which a tab stands before the indentation ends, unless it is covered by
/// a scalar or a flow collection.
pub(super) fn blank_line(text: &str, is_covered: impl Fn(u32) -> bool) -> Option<u32> {
    if !text.contains('\t') {
        return None;
    }
    let mut indent = 0;
    for (number, line) in (1..).zip(text.lines()) {
        if !line.trim().is_empty() {
            indent = line.len() - line.trim_start_matches(' ').len();
        } else if line.find('\t').is_some_and(|at| at <= indent) && !is_covered(number) {
            return Some(number);
        }
    }
    None
}

/// A plain scalar in which line separators end lines, as they do in YAML 1.1: the next line must be
/// indented.
pub(super) fn separators(text: Cow<'_, str>) -> Result<Cow<'_, str>, String> {
    const SEPARATORS: [char; 2] = ['\u{2028}', '\u{2029}'];
    if !text.contains(SEPARATORS) {
        return Ok(text);
    }
    let mut joined = String::new();
    let mut rest = &*text;
    while let Some(at) = rest.find(SEPARATORS) {
        let (before, after) = rest.split_at(at);
        let separator = after.chars().next().unwrap_or_default();
        rest = &after[separator.len_utf8()..];
        if !rest.starts_with(' ') {
            return Err("a Unicode line separator ends the line here, and what follows is not indented: remove it, or quote the value".to_owned());
        }
        joined.push_str(before.trim_end_matches(' '));
        joined.push(separator);
        rest = rest.trim_start_matches(' ');
    }
    joined.push_str(rest);
    Ok(joined.into())
}
