//! Scalars: plain, quoted, and blocks.

use super::{super::Fault, Kind, Scanner};

/// Line breaks and blanks between two words of a scalar.
#[derive(Default)]
struct Gap {
    blanks: String,
    /// Whether there was a line break, or one that was escaped.
    broken: bool,
    first: String,
    others: String,
}

impl Gap {
    /// A single line break is a space, and of several the first is left out.
    fn fold(&mut self, text: &mut String) {
        if !self.broken {
            text.push_str(&self.blanks);
        } else if self.first != "\n" {
            text.push_str(&self.first);
            text.push_str(&self.others);
        } else if self.others.is_empty() {
            text.push(' ');
        } else {
            text.push_str(&self.others);
        }
        *self = Self::default();
    }
}

impl Scanner<'_> {
    /// Blanks and line breaks; a tab may not stand before the margin.
    fn gap(&mut self, gap: &mut Gap, margin: usize) -> Result<(), Fault> {
        loop {
            if self.at.is_blank(0) {
                if gap.broken && self.at.mark.column < margin && self.at.is(b'\t') {
                    return self.error("a tab stands where indentation is expected: remove it");
                }
                if gap.broken {
                    self.at.skip();
                } else {
                    self.at.copy(&mut gap.blanks);
                }
            } else if !self.at.is_break(0) {
                return Ok(());
            } else if gap.broken {
                self.at.copy_break(&mut gap.others);
            } else {
                gap.broken = true;
                self.at.copy_break(&mut gap.first);
            }
        }
    }

    pub(super) fn plain(&mut self) -> Result<(), Fault> {
        self.begin_key()?;
        self.key_allowed = false;
        let line = self.at.mark.line;
        let margin = self.margin;
        let mut text = String::new();
        let mut gap = Gap::default();
        loop {
            if self.at.is_document_mark() || self.at.is(b'#') {
                break;
            }
            while !self.at.is_space(0) {
                let ends = match self.at.byte(0) {
                    b':' => self.at.is_space(1),
                    b',' | b'?' | b'[' | b']' | b'{' | b'}' => self.in_brackets(),
                    _ => false,
                };
                if ends {
                    break;
                }
                if gap.broken || !gap.blanks.is_empty() {
                    gap.fold(&mut text);
                }
                self.at.copy(&mut text);
            }
            if !self.at.is_blank(0) && !self.at.is_break(0) {
                break;
            }
            self.gap(&mut gap, margin)?;
            if !self.in_brackets() && self.at.mark.column < margin {
                break;
            }
        }
        self.key_allowed |= gap.broken;
        self.push(line, Kind::Scalar { text, plain: true });
        Ok(())
    }

    pub(super) fn quoted(&mut self) -> Result<(), Fault> {
        self.begin_key()?;
        self.key_allowed = false;
        let line = self.at.mark.line;
        let quote = self.at.byte(0);
        self.at.skip();
        let mut text = String::new();
        let mut gap = Gap::default();
        loop {
            if self.at.is_document_mark() || self.at.is_end() {
                return Err(Fault::invalid(
                    line,
                    "the quote that begins here is never closed",
                ));
            }
            while !self.at.is_space(0) {
                match self.at.byte(0) {
                    b'\'' if quote == b'\'' && self.at.byte(1) == b'\'' => {
                        text.push('\'');
                        self.at.skip();
                        self.at.skip();
                    }
                    byte if byte == quote => break,
                    b'\\' if quote == b'"' && self.at.is_break(1) => {
                        self.at.skip();
                        self.at.skip_break();
                        gap.broken = true;
                        break;
                    }
                    b'\\' if quote == b'"' => self.escape(&mut text)?,
                    _ => self.at.copy(&mut text),
                }
            }
            if self.at.is(quote) {
                break;
            }
            // What is quoted may stand anywhere.
            self.gap(&mut gap, 0)?;
            gap.fold(&mut text);
        }
        self.at.skip();
        self.push(line, Kind::Scalar { text, plain: false });
        Ok(())
    }

    fn escape(&mut self, text: &mut String) -> Result<(), Fault> {
        let digits = match self.at.byte(1) {
            b'x' => 2,
            b'u' => 4,
            b'U' => 8,
            simple => {
                text.push(match simple {
                    b'0' => '\0',
                    b'a' => '\u{7}',
                    b'b' => '\u{8}',
                    b't' | b'\t' => '\t',
                    b'n' => '\n',
                    b'v' => '\u{b}',
                    b'f' => '\u{c}',
                    b'r' => '\r',
                    b'e' => '\u{1b}',
                    b' ' => ' ',
                    b'"' => '"',
                    b'\'' => '\'',
                    b'\\' => '\\',
                    b'N' => '\u{85}',
                    b'_' => '\u{a0}',
                    b'L' => '\u{2028}',
                    b'P' => '\u{2029}',
                    b'/' => {
                        return self
                            .error("\\/ is an escape of JSON and not of YAML: write /");
                    }
                    _ => return self.error("a backslash in double quotes begins an escape, and this is none: double it, or use single quotes"),
                });
                0
            }
        };
        self.at.skip();
        self.at.skip();
        if digits == 0 {
            return Ok(());
        }
        let mut code = 0_u32;
        for _ in 0..digits {
            let Some(digit) = char::from(self.at.byte(0)).to_digit(16) else {
                return self.error("an escape has too few hexadecimal digits");
            };
            // Eight digits are 32 bits.
            code = code << 4 | digit;
            self.at.skip();
        }
        match char::from_u32(code) {
            Some(character) => {
                text.push(character);
                Ok(())
            }
            None => self.error("the escape is no character, or half of one: write it as itself, or as \\U and eight digits"),
        }
    }

    /// `|` or `>`.
    pub(super) fn block_scalar(&mut self) -> Result<(), Fault> {
        self.end_key()?;
        self.key_allowed = true;
        let line = self.at.mark.line;
        let literal = self.at.is(b'|');
        self.at.skip();
        let (mut keep, mut strip, mut indent) = (false, false, 0);
        // In either order, each at most once.
        for _ in 0..2 {
            match self.at.byte(0) {
                b'+' if !keep && !strip => keep = true,
                b'-' if !keep && !strip => strip = true,
                digit @ b'1'..=b'9' if indent == 0 => indent = usize::from(digit - b'0'),
                _ => break,
            }
            self.at.skip();
        }
        self.at.skip_blanks();
        self.at.skip_comment();
        if !self.at.is_break_or_end(0) {
            return self.error("behind | or > only + or - and a digit from 1 to 9 may stand");
        }
        self.at.skip_break();
        if indent > 0 {
            indent += self.margin.saturating_sub(1);
        }
        let mut text = String::new();
        let (mut first, mut others) = (String::new(), String::new());
        self.block_breaks(&mut indent, &mut others)?;
        let mut was_blank = false;
        while self.at.mark.column == indent && !self.at.is_end() {
            let is_blank = self.at.is_blank(0);
            if !literal && first == "\n" && !was_blank && !is_blank {
                if others.is_empty() {
                    text.push(' ');
                }
            } else {
                text.push_str(&first);
            }
            text.push_str(&others);
            first.clear();
            others.clear();
            was_blank = is_blank;
            while !self.at.is_break_or_end(0) {
                self.at.copy(&mut text);
            }
            self.at.copy_break(&mut first);
            self.block_breaks(&mut indent, &mut others)?;
        }
        if !strip {
            text.push_str(&first);
        }
        if keep {
            text.push_str(&others);
        }
        self.push(line, Kind::Scalar { text, plain: false });
        Ok(())
    }

    /// Empty lines, and the indentation of the next. When it is not known yet, 0, it is found.
    fn block_breaks(&mut self, indent: &mut usize, breaks: &mut String) -> Result<(), Fault> {
        let mut widest = 0;
        loop {
            let is_before = |column| *indent == 0 || column < *indent;
            while is_before(self.at.mark.column) && self.at.is(b' ') {
                self.at.skip();
            }
            widest = widest.max(self.at.mark.column);
            if is_before(self.at.mark.column) && self.at.is(b'\t') {
                return self.error("a tab stands where indentation is expected: remove it");
            }
            if !self.at.is_break(0) {
                break;
            }
            self.at.copy_break(breaks);
        }
        if *indent == 0 {
            *indent = widest.max(self.margin).max(1);
        }
        Ok(())
    }
}
