//! Anchors, aliases and tags.

use super::{super::Fault, Kind, Scanner};

/// What `!!` stands for.
const YAML: &str = "tag:yaml.org,2002:";

impl Scanner<'_> {
    /// `&name` or `*name`.
    pub(super) fn anchor(&mut self) -> Result<(), Fault> {
        self.begin_key()?;
        self.key_allowed = false;
        let line = self.at.mark.line;
        let is_alias = self.at.is(b'*');
        self.at.skip();
        let mut name = String::new();
        while self.at.is_word() {
            self.at.copy(&mut name);
        }
        let ends = self.at.is_space(0)
            || matches!(
                self.at.byte(0),
                b'?' | b':' | b',' | b']' | b'}' | b'%' | b'@' | b'`'
            );
        if name.is_empty() || !ends {
            return self.error("the name behind & or * may hold letters, digits, - and _ alone: correct it, or quote the value");
        }
        self.push(
            line,
            if is_alias {
                Kind::Alias(name)
            } else {
                Kind::Anchor(name)
            },
        );
        Ok(())
    }

    /// `!<tag>`, `!handle!tag`, `!tag` or `!`. Handles of one's own need a directive, and so are not
    /// known.
    pub(super) fn tag(&mut self) -> Result<(), Fault> {
        self.begin_key()?;
        self.key_allowed = false;
        let line = self.at.mark.line;
        let mut tag = String::new();
        if self.at.byte(1) == b'<' {
            self.at.skip();
            self.at.skip();
            self.uri(&mut tag)?;
            if tag.is_empty() || !self.at.is(b'>') {
                return self.error("a tag that begins with !< ends with >");
            }
            self.at.skip();
        } else {
            self.at.copy(&mut tag);
            while self.at.is_word() {
                self.at.copy(&mut tag);
            }
            if self.at.is(b'!') {
                if tag != "!" {
                    return self.error("the tag has a handle that is not known: leave it out");
                }
                self.at.skip();
                YAML.clone_into(&mut tag);
            }
            self.uri(&mut tag)?;
            if tag == YAML {
                return self.error("a tag has a name behind !!");
            }
        }
        if !self.at.is_space(0) {
            return self.error("a tag ends with a space");
        }
        self.push(line, Kind::Tag(tag));
        Ok(())
    }

    fn uri(&mut self, to: &mut String) -> Result<(), Fault> {
        const ALLOWED: &[u8] = b";/?:@&=+$,.!~*'()[]";
        loop {
            if self.at.is(b'%') {
                self.escaped(to)?;
            } else if self.at.is_word() || ALLOWED.contains(&self.at.byte(0)) {
                self.at.copy(to);
            } else {
                return Ok(());
            }
        }
    }

    /// A character as `%` and two digits for each of its bytes.
    fn escaped(&mut self, to: &mut String) -> Result<(), Fault> {
        let mut bytes = Vec::new();
        loop {
            let digits = [self.at.byte(1), self.at.byte(2)];
            let byte = std::str::from_utf8(&digits)
                .ok()
                .filter(|digits| digits.bytes().all(|one| one.is_ascii_hexdigit()))
                .and_then(|digits| u8::from_str_radix(digits, 16).ok());
            let (true, Some(byte)) = (self.at.is(b'%'), byte) else {
                return self.error("in a tag, % is followed by two hexadecimal digits");
            };
            bytes.push(byte);
            (0..3).for_each(|_| self.at.skip());
            match std::str::from_utf8(&bytes) {
                Ok(text) => {
                    to.push_str(text);
                    return Ok(());
                }
                Err(error) if error.error_len().is_some() => {
                    return self.error("the bytes behind % in a tag are no character");
                }
                Err(_) => {}
            }
        }
    }
}
