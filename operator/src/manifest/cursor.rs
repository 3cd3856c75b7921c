//! A place in a document's text, and what stands there: the characters as YAML 1.1 divides them.
//! Past the end stands a NUL, which no text holds.

/// A place.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Mark {
    /// In characters, from 0.
    pub(super) index: usize,
    /// From 1.
    pub(super) line: u32,
    /// In characters, from 0.
    pub(super) column: usize,
}

/// A place that moves forward.
pub(super) struct Cursor<'a> {
    bytes: &'a [u8],
    offset: usize,
    pub(super) mark: Mark,
}

impl<'a> Cursor<'a> {
    pub(super) fn new(text: &'a str) -> Self {
        Self {
            bytes: text.as_bytes(),
            offset: 0,
            mark: Mark {
                line: 1,
                ..Mark::default()
            },
        }
    }

    /// The byte so many bytes ahead.
    pub(super) fn byte(&self, ahead: usize) -> u8 {
        self.bytes.get(self.offset + ahead).copied().unwrap_or(0)
    }

    pub(super) fn is(&self, byte: u8) -> bool {
        self.byte(0) == byte
    }

    pub(super) fn is_end(&self) -> bool {
        self.offset >= self.bytes.len()
    }

    /// The line, from 1: at the end of a text that ends with a line break the one before it.
    pub(super) fn line(&self) -> u32 {
        let is_after_the_last = self.is_end() && self.mark.column == 0 && self.mark.line > 1;
        self.mark.line - u32::from(is_after_the_last)
    }

    /// How many bytes the line break so many bytes ahead has; none when there is none.
    fn line_break(&self, ahead: usize) -> usize {
        match [self.byte(ahead), self.byte(ahead + 1), self.byte(ahead + 2)] {
            [b'\r', b'\n', _] => 2,
            [b'\r' | b'\n', ..] => 1,
            // Next line.
            [0xc2, 0x85, _] => 2,
            // Line and paragraph separator.
            [0xe2, 0x80, 0xa8 | 0xa9] => 3,
            _ => 0,
        }
    }

    pub(super) fn is_break(&self, ahead: usize) -> bool {
        self.line_break(ahead) > 0
    }

    /// A line break or the end.
    pub(super) fn is_break_or_end(&self, ahead: usize) -> bool {
        self.byte(ahead) == 0 || self.is_break(ahead)
    }

    pub(super) fn is_blank(&self, ahead: usize) -> bool {
        matches!(self.byte(ahead), b' ' | b'\t')
    }

    /// A blank, a line break or the end.
    pub(super) fn is_space(&self, ahead: usize) -> bool {
        self.is_blank(ahead) || self.is_break_or_end(ahead)
    }

    /// Whether `---` or `...` stands at the beginning of a line, on its own.
    pub(super) fn is_document_mark(&self) -> bool {
        let three = [self.byte(0), self.byte(1), self.byte(2)];
        self.mark.column == 0 && matches!(&three, b"---" | b"...") && self.is_space(3)
    }

    /// A character of names: of anchors and of tags' handles.
    pub(super) fn is_word(&self) -> bool {
        matches!(self.byte(0), b'0'..=b'9' | b'A'..=b'Z' | b'a'..=b'z' | b'_' | b'-')
    }

    /// Goes past a character that is no line break.
    pub(super) fn skip(&mut self) {
        let width = match self.byte(0) {
            0..0x80 => 1,
            0x80..0xe0 => 2,
            0xe0..0xf0 => 3,
            0xf0.. => 4,
        };
        self.offset = (self.offset + width).min(self.bytes.len());
        self.mark.index += 1;
        self.mark.column += 1;
    }

    /// Goes past a character that is no line break and writes it down.
    pub(super) fn copy(&mut self, to: &mut String) {
        let from = self.offset;
        self.skip();
        // A cursor goes by whole characters of a text.
        to.push_str(std::str::from_utf8(&self.bytes[from..self.offset]).unwrap_or_default());
    }

    /// Goes past a line break, if there is one, and writes it down as YAML does: the two separators
    /// as themselves, all others as a newline.
    pub(super) fn copy_break(&mut self, to: &mut String) {
        match (self.line_break(0), self.byte(2)) {
            (0, _) => return,
            (3, 0xa8) => to.push('\u{2028}'),
            (3, _) => to.push('\u{2029}'),
            _ => to.push('\n'),
        }
        self.skip_break();
    }

    /// Goes past a line break, if there is one.
    pub(super) fn skip_break(&mut self) {
        let width = self.line_break(0);
        if width == 0 {
            return;
        }
        self.mark.index += if self.is(b'\r') { width } else { 1 };
        self.offset += width;
        self.mark.column = 0;
        self.mark.line += 1;
    }

    /// Goes past blanks.
    pub(super) fn skip_blanks(&mut self) {
        while self.is_blank(0) {
            self.skip();
        }
    }

    /// Goes to the end of the line when a comment stands here.
    pub(super) fn skip_comment(&mut self) {
        if self.is(b'#') {
            while !self.is_break_or_end(0) {
                self.skip();
            }
        }
    }
}
