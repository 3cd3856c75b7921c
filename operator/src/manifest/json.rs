//! JSON values, as Go reads them: half of a surrogate pair becomes a replacement, the later of two
//! equal keys counts, and integers are told from other numbers.

use serde_json::{Map, Value};

use super::{Budget, DEPTH, Fault, scalar};

/// A value of a JSON text.
pub(super) struct Read {
    pub(super) line: u32,
    pub(super) value: Value,
    /// The lines of the entries of its `items`, when it has some.
    pub(super) item_lines: Vec<u32>,
    /// Keys that stand twice in a map, with the line of the second.
    pub(super) duplicates: Vec<(u32, String)>,
    /// What cannot be sent, though it is JSON: a number that is too great.
    pub(super) unfit: Option<Fault>,
}

/// What is wrong with a JSON text.
pub(super) enum Error {
    /// It is none, and may be YAML.
    Syntax(Fault),
    /// It is refused, whatever it is.
    Refused(Fault),
}

/// Reads values one after another.
pub(super) struct Reader<'a> {
    text: &'a str,
    at: usize,
    line: u32,
    read: Read,
}

impl<'a> Reader<'a> {
    pub(super) fn new(text: &'a str) -> Self {
        Self {
            text,
            at: 0,
            line: 1,
            read: Read::at(1),
        }
    }

    /// The next value; nothing at the end. After an error the place is behind the last value.
    pub(super) fn next(&mut self, budget: &mut Budget) -> Result<Option<Read>, Error> {
        let begin = (self.at, self.line);
        self.space();
        if self.at == self.text.len() {
            return Ok(None);
        }
        self.read = Read::at(self.line);
        match self.value(0, budget) {
            Ok(value) => {
                let mut read = std::mem::replace(&mut self.read, Read::at(self.line));
                read.value = value;
                Ok(Some(read))
            }
            Err(error) => {
                (self.at, self.line) = begin;
                Err(error)
            }
        }
    }

    /// What was not read, and its line.
    pub(super) fn rest(&self) -> (&'a str, u32) {
        (&self.text[self.at..], self.line)
    }

    fn byte(&self) -> u8 {
        // No JSON outside of its strings holds a NUL.
        self.text.as_bytes().get(self.at).copied().unwrap_or(0)
    }

    fn space(&mut self) {
        while let byte @ (b' ' | b'\t' | b'\r' | b'\n') = self.byte() {
            self.at += 1;
            self.line += u32::from(byte == b'\n');
        }
    }

    fn error<T>(&self, what: &str) -> Result<T, Error> {
        let message = format!("this is no valid JSON: {what}");
        let mut fault = Fault::invalid(self.line, "");
        fault.message = message;
        Err(Error::Syntax(fault))
    }

    fn take(&mut self, byte: u8) -> bool {
        let is = self.byte() == byte;
        self.at += usize::from(is);
        is
    }

    fn word(&mut self, word: &str, value: Value) -> Result<Value, Error> {
        match self.text[self.at..].starts_with(word) {
            true => {
                self.at += word.len();
                Ok(value)
            }
            false => self.error("a value is expected here"),
        }
    }

    fn value(&mut self, depth: usize, budget: &mut Budget) -> Result<Value, Error> {
        if depth > DEPTH {
            return Err(Error::Refused(Fault::too_deep(self.line)));
        }
        budget.spend(self.line).map_err(Error::Refused)?;
        self.space();
        match self.byte() {
            b'{' => self.object(depth, budget),
            b'[' => {
                let mut lines = Vec::new();
                self.array(depth, budget, &mut lines)
            }
            b'"' => Ok(Value::String(self.string()?)),
            b'-' | b'0'..=b'9' => self.number(),
            b't' => self.word("true", Value::Bool(true)),
            b'f' => self.word("false", Value::Bool(false)),
            b'n' => self.word("null", Value::Null),
            _ => self.error("a value is expected here"),
        }
    }

    fn object(&mut self, depth: usize, budget: &mut Budget) -> Result<Value, Error> {
        self.at += 1;
        let mut map = Map::new();
        self.space();
        if self.take(b'}') {
            return Ok(Value::Object(map));
        }
        loop {
            self.space();
            if self.byte() != b'"' {
                return self.error("a key in double quotes is expected here");
            }
            let line = self.line;
            let key = self.string()?;
            self.space();
            if !self.take(b':') {
                return self.error("a colon is expected here");
            }
            self.space();
            let value = if depth == 0 && key == "items" && self.byte() == b'[' {
                let mut lines = Vec::new();
                let value = self.array(depth + 1, budget, &mut lines)?;
                self.read.item_lines = lines;
                value
            } else {
                self.value(depth + 1, budget)?
            };
            if map.contains_key(&key) {
                self.read.duplicates.push((line, key.clone()));
            }
            map.insert(key, value);
            self.space();
            if self.take(b'}') {
                return Ok(Value::Object(map));
            }
            if !self.take(b',') {
                return self.error("a comma or } is expected here");
            }
        }
    }

    fn array(
        &mut self,
        depth: usize,
        budget: &mut Budget,
        lines: &mut Vec<u32>,
    ) -> Result<Value, Error> {
        self.at += 1;
        let mut items = Vec::new();
        self.space();
        if self.take(b']') {
            return Ok(Value::Array(items));
        }
        loop {
            self.space();
            lines.push(self.line);
            items.push(self.value(depth + 1, budget)?);
            self.space();
            if self.take(b']') {
                return Ok(Value::Array(items));
            }
            if !self.take(b',') {
                return self.error("a comma or ] is expected here");
            }
        }
    }

    fn string(&mut self) -> Result<String, Error> {
        self.at += 1;
        let mut text = String::new();
        loop {
            let rest = &self.text[self.at..];
            let Some(plain) = rest.find(|c| matches!(c, '"' | '\\' | '\0'..='\u{1f}')) else {
                return self.error("the quote that begins here is never closed");
            };
            text.push_str(&rest[..plain]);
            self.at += plain;
            if self.take(b'"') {
                return Ok(text);
            }
            if !self.take(b'\\') {
                return self.error(
                    "a line break or control character stands in quotes: write it as an escape",
                );
            }
            let simple = match self.byte() {
                byte @ (b'"' | b'\\' | b'/') => char::from(byte),
                b'b' => '\u{8}',
                b'f' => '\u{c}',
                b'n' => '\n',
                b'r' => '\r',
                b't' => '\t',
                b'u' => {
                    self.at += 1;
                    text.push(self.unicode()?);
                    continue;
                }
                _ => {
                    return self.error("a backslash begins an escape, and this is none: double it");
                }
            };
            self.at += 1;
            text.push(simple);
        }
    }

    /// The character of four digits, or of twice four.
    fn unicode(&mut self) -> Result<char, Error> {
        let high = self.digits()?;
        if let Some(character) = char::from_u32(high) {
            return Ok(character);
        }
        let behind = self.at;
        if (0xd800..0xdc00).contains(&high) && self.text[self.at..].starts_with("\\u") {
            self.at += 2;
            let low = self.digits()?;
            if (0xdc00..0xe000).contains(&low) {
                let code = 0x1_0000 + ((high - 0xd800) << 10) + (low - 0xdc00);
                return Ok(char::from_u32(code).unwrap_or(char::REPLACEMENT_CHARACTER));
            }
            self.at = behind;
        }
        Ok(char::REPLACEMENT_CHARACTER)
    }

    fn digits(&mut self) -> Result<u32, Error> {
        let digits = self.text.get(self.at..self.at + 4);
        let digits = digits.filter(|digits| digits.bytes().all(|byte| byte.is_ascii_hexdigit()));
        match digits.and_then(|digits| u32::from_str_radix(digits, 16).ok()) {
            Some(code) => {
                self.at += 4;
                Ok(code)
            }
            None => self.error("\\u is followed by four hexadecimal digits"),
        }
    }

    fn number(&mut self) -> Result<Value, Error> {
        let begin = self.at;
        self.take(b'-');
        if !self.take(b'0') {
            self.some_digits()?;
        }
        let mut is_integer = true;
        if self.take(b'.') {
            is_integer = false;
            self.some_digits()?;
        }
        if self.take(b'e') || self.take(b'E') {
            is_integer = false;
            let _ = self.take(b'+') || self.take(b'-');
            self.some_digits()?;
        }
        let text = &self.text[begin..self.at];
        if is_integer && let Ok(integer) = text.parse::<i64>() {
            return Ok(Value::from(integer));
        }
        let float = text.parse().ok().and_then(scalar::float);
        if float.is_none() {
            let fault = Fault::invalid(
                self.line,
                "a number is too great: quote it, or write another",
            );
            self.read.unfit.get_or_insert(fault);
        }
        Ok(float.unwrap_or(Value::Null))
    }

    fn some_digits(&mut self) -> Result<(), Error> {
        let begin = self.at;
        while self.byte().is_ascii_digit() {
            self.at += 1;
        }
        match self.at > begin {
            true => Ok(()),
            false => self.error("a digit is expected here"),
        }
    }
}

impl Read {
    fn at(line: u32) -> Self {
        Self {
            line,
            value: Value::Null,
            item_lines: Vec::new(),
            duplicates: Vec::new(),
            unfit: None,
        }
    }
}
