//! Text of others, made fit to be looked at: what has no shape of its own, or turns the text around
//! it, is written as its number. Escaping for HTML comes after it, by the templates.

use gitmoor_arm::Timestamp;
use time::UtcOffset;

/// The text, with each character that hides or turns text replaced by its number.
pub(super) fn shown(text: &str) -> String {
    let mut shown = String::with_capacity(text.len());
    for c in text.chars() {
        if hides(c) {
            shown.push_str(&format!("⟨U+{:04X}⟩", u32::from(c)));
        } else {
            shown.push(c);
        }
    }
    shown
}

/// Whether a character has no shape of its own, or turns the text around it.
pub(super) fn hides(c: char) -> bool {
    (c.is_control() && c != '\n' && c != '\t')
        || matches!(c,
            // Marks and embeddings of writing direction: CVE-2021-42574.
            '\u{061c}' | '\u{200e}' | '\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}'
            // Characters without width, and the separators that break lines.
            | '\u{00ad}' | '\u{180e}' | '\u{200b}'..='\u{200d}' | '\u{2028}' | '\u{2029}'
            | '\u{2060}'..='\u{2064}' | '\u{206a}'..='\u{206f}' | '\u{feff}' | '\u{fff9}'..='\u{fffb}'
            // Tags: text that nobody sees.
            | '\u{e0000}'..='\u{e007f}')
}

/// A moment, as a machine and as a person reads it.
#[derive(Clone, Debug)]
pub(super) struct When {
    /// In RFC 3339.
    pub(super) iso: String,
    /// Such as `3 min ago`.
    pub(super) ago: String,
    /// Such as `04:58 UTC, 24 Nov 2026`.
    pub(super) clock: String,
}

impl When {
    pub(super) fn new(at: Timestamp, now: Timestamp) -> Self {
        let at_utc = at.0.to_offset(UtcOffset::UTC);
        let iso = at.to_string().replace("+00:00", "Z");
        let seconds = (now.0 - at_utc).whole_seconds();
        let ago = match seconds {
            ..45 => "just now".to_owned(),
            45..3600 => format!("{} min ago", (seconds + 30) / 60),
            3600..86_400 => format!("{} h ago", seconds / 3600),
            86_400..2_592_000 => format!("{} d ago", seconds / 86_400),
            _ => iso[..10].to_owned(),
        };
        let clock = format!(
            "{:02}:{:02} UTC, {} {:.3} {}",
            at_utc.hour(),
            at_utc.minute(),
            at_utc.day(),
            at_utc.month().to_string(),
            at_utc.year()
        );
        Self { iso, ago, clock }
    }

    /// The same of what may never have been; ARM's clients are told of the year 1 then.
    pub(super) fn maybe(at: Option<Timestamp>, now: Timestamp) -> Option<Self> {
        at.filter(|at| *at != Timestamp::NEVER)
            .map(|at| Self::new(at, now))
    }
}

/// How long something took or lasted, in words.
pub(super) fn lasted(from: Timestamp, to: Timestamp) -> String {
    match (to.0 - from.0).whole_seconds().max(0) {
        seconds @ ..60 => format!("{seconds} s"),
        seconds @ 60..3600 => format!("{} min", seconds / 60),
        seconds @ 3600..86_400 => format!("{} h {} min", seconds / 3600, seconds % 3600 / 60),
        seconds => format!("{} d {} h", seconds / 86_400, seconds % 86_400 / 3600),
    }
}

/// A commit's id, short.
pub(super) fn short(commit: &str) -> String {
    shown(commit).chars().take(8).collect()
}

/// `1 problem`, `2 problems`.
pub(super) fn count(number: usize, word: &str) -> String {
    let s = if number == 1 { "" } else { "s" };
    format!("{number} {word}{s}")
}

#[cfg(test)]
mod tests {
    use super::*;
    use time::Duration;

    #[test]
    fn characters_that_hide_or_turn_text_are_shown_by_number() {
        let table = [
            ("plain äöü 漢字 🦀", "plain äöü 漢字 🦀"),
            ("a\u{202e}gpj.exe", "a⟨U+202E⟩gpj.exe"),
            ("\u{2066}x\u{2069}", "⟨U+2066⟩x⟨U+2069⟩"),
            ("zero\u{200b}width\u{feff}", "zero⟨U+200B⟩width⟨U+FEFF⟩"),
            ("\u{1b}[31mred\r", "⟨U+001B⟩[31mred⟨U+000D⟩"),
            ("two\nlines", "two\nlines"),
            ("\u{e0041}", "⟨U+E0041⟩"),
        ];
        for (text, wanted) in table {
            assert_eq!(shown(text), wanted);
        }
    }

    #[test]
    fn moments_are_told_as_people_tell_them() {
        let now: Timestamp = "2026-11-24T12:00:00Z".parse().unwrap();
        let table = [
            (Duration::seconds(-5), "just now"),
            (Duration::seconds(44), "just now"),
            (Duration::minutes(3), "3 min ago"),
            (Duration::minutes(100), "1 h ago"),
            (Duration::hours(47), "1 d ago"),
            (Duration::days(40), "2026-10-15"),
        ];
        for (before, wanted) in table {
            let when = When::new(Timestamp(now.0 - before), now);
            assert_eq!(when.ago, wanted);
        }
        let when = When::new(now, now);
        assert_eq!(when.iso, "2026-11-24T12:00:00Z");
        assert_eq!(when.clock, "12:00 UTC, 24 Nov 2026");
        assert!(When::maybe(Some(Timestamp::NEVER), now).is_none());
        for (time, wanted) in [
            (Duration::seconds(7), "7 s"),
            (Duration::minutes(59), "59 min"),
            (Duration::minutes(125), "2 h 5 min"),
            (Duration::hours(50), "2 d 2 h"),
        ] {
            assert_eq!(lasted(Timestamp(now.0 - time), now), wanted);
        }
    }
}
