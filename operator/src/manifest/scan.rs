//! A document's text becomes tokens, by the rules of YAML 1.1 as libyaml applies them: `kubectl`'s
//! parser descends from it, and where it departs from the standard, so do we. What a key is shows
//! only at its colon, so that tokens wait in a queue until that is decided.

mod property;
mod scalar;

use std::collections::VecDeque;

use super::{
    DEPTH, Fault,
    cursor::{Cursor, Mark},
};

/// How far behind its beginning a key's colon may stand, in characters.
const KEY_LENGTH: usize = 1024;

/// A token, with the line in which it begins.
#[derive(Debug)]
pub(super) struct Token {
    pub(super) line: u32,
    pub(super) kind: Kind,
}

#[derive(Debug, PartialEq)]
pub(super) enum Kind {
    End,
    DocumentStart,
    DocumentEnd,
    BlockSequence,
    BlockMapping,
    BlockEnd,
    FlowSequence,
    FlowSequenceEnd,
    FlowMapping,
    FlowMappingEnd,
    BlockEntry,
    FlowEntry,
    Key,
    Value,
    Alias(String),
    Anchor(String),
    /// In full.
    Tag(String),
    Scalar {
        text: String,
        plain: bool,
    },
}

/// Where a key may have begun.
struct Candidate {
    possible: bool,
    /// At this place nothing but a key may stand.
    required: bool,
    /// The number of its first token.
    token: usize,
    mark: Mark,
}

pub(super) struct Scanner<'a> {
    at: Cursor<'a>,
    waiting: VecDeque<Token>,
    /// How many tokens were taken.
    taken: usize,
    /// The column that what belongs to the block collection that is open must reach.
    margin: usize,
    /// Those of the collections around it.
    margins: Vec<usize>,
    /// One for each open bracket, and one for what is around them.
    candidates: Vec<Candidate>,
    key_allowed: bool,
}

impl<'a> Scanner<'a> {
    pub(super) fn new(text: &'a str) -> Self {
        Self {
            at: Cursor::new(text),
            waiting: VecDeque::new(),
            taken: 0,
            margin: 0,
            margins: Vec::new(),
            candidates: vec![Candidate {
                possible: false,
                required: false,
                token: 0,
                mark: Mark::default(),
            }],
            key_allowed: true,
        }
    }

    /// The next token.
    pub(super) fn peek(&mut self) -> Result<&Token, Fault> {
        while self.waiting.is_empty() || self.may_be_a_key()? {
            self.fetch()?;
        }
        Ok(&self.waiting[0])
    }

    /// The next token, which is then gone. After the end comes another end.
    pub(super) fn take(&mut self) -> Result<Token, Fault> {
        self.peek()?;
        self.taken += 1;
        let end = Token {
            line: self.at.line(),
            kind: Kind::End,
        };
        Ok(self.waiting.pop_front().unwrap_or(end))
    }

    fn in_brackets(&self) -> bool {
        self.candidates.len() > 1
    }

    fn error<T>(&self, what: &str) -> Result<T, Fault> {
        Err(Fault::invalid(self.at.line(), what))
    }

    fn push(&mut self, line: u32, kind: Kind) {
        self.waiting.push_back(Token { line, kind });
    }

    /// Whether the first token that waits may yet turn out to begin a key.
    fn may_be_a_key(&mut self) -> Result<bool, Fault> {
        // The numbers never fall from one bracket to the next within it.
        let first = self
            .candidates
            .partition_point(|one| one.token < self.taken);
        match self.candidates.get(first) {
            Some(one) if one.token == self.taken => self.is_possible(first),
            _ => Ok(false),
        }
    }

    fn is_possible(&mut self, candidate: usize) -> Result<bool, Fault> {
        let now = self.at.mark;
        let one = &mut self.candidates[candidate];
        if one.possible && (one.mark.line < now.line || one.mark.index + KEY_LENGTH < now.index) {
            one.possible = false;
            if one.required {
                return Err(Fault::invalid(one.mark.line, NO_COLON));
            }
        }
        Ok(one.possible)
    }

    /// Notes that a key may begin here.
    fn begin_key(&mut self) -> Result<(), Fault> {
        if self.key_allowed {
            self.end_key()?;
            let required = !self.in_brackets() && self.margin == self.at.mark.column + 1;
            let key = Candidate {
                possible: true,
                required,
                token: self.taken + self.waiting.len(),
                mark: self.at.mark,
            };
            self.candidates.pop();
            self.candidates.push(key);
        }
        Ok(())
    }

    /// What may have been a key is none.
    fn end_key(&mut self) -> Result<(), Fault> {
        match self.candidates.last_mut() {
            Some(one) if one.possible && one.required => {
                Err(Fault::invalid(one.mark.line, NO_COLON))
            }
            Some(one) => {
                one.possible = false;
                Ok(())
            }
            None => Ok(()),
        }
    }

    /// Opens a block collection if this column is further right than the one that is open. Its token
    /// stands before the one of the given number, or last.
    fn open_block(&mut self, mark: Mark, before: Option<usize>, kind: Kind) -> Result<(), Fault> {
        if self.in_brackets() || self.margin > mark.column {
            return Ok(());
        }
        if self.margins.len() >= DEPTH {
            return Err(Fault::too_deep(mark.line));
        }
        self.margins.push(self.margin);
        self.margin = mark.column + 1;
        let token = Token {
            line: mark.line,
            kind,
        };
        match before {
            Some(number) => self.waiting.insert(number - self.taken, token),
            None => self.waiting.push_back(token),
        }
        Ok(())
    }

    /// Closes the block collections that begin to the right of a margin.
    fn close_blocks(&mut self, margin: usize) {
        while !self.in_brackets() && self.margin > margin {
            self.push(self.at.line(), Kind::BlockEnd);
            self.margin = self.margins.pop().unwrap_or(0);
        }
    }

    /// Puts at least one more token into the queue.
    fn fetch(&mut self) -> Result<(), Fault> {
        self.skip_to_token();
        self.close_blocks(self.at.mark.column + 1);
        let line = self.at.line();
        if self.at.is_end() {
            self.close_blocks(0);
            self.end_key()?;
            self.key_allowed = false;
            self.push(line, Kind::End);
            return Ok(());
        }
        if self.at.mark.column == 0 && self.at.is(b'%') {
            return self.error("a line that begins with % is a directive, which is not read from files of several documents: remove it, or quote it");
        }
        if self.at.is_document_mark() {
            let kind = match self.at.byte(0) {
                b'-' => Kind::DocumentStart,
                _ => Kind::DocumentEnd,
            };
            self.close_blocks(0);
            self.end_key()?;
            self.key_allowed = false;
            (0..3).for_each(|_| self.at.skip());
            self.push(line, kind);
            return Ok(());
        }
        let in_brackets = self.in_brackets();
        let alone = self.at.is_space(1);
        match self.at.byte(0) {
            b'[' => self.open_bracket(Kind::FlowSequence),
            b'{' => self.open_bracket(Kind::FlowMapping),
            b']' => self.close_bracket(Kind::FlowSequenceEnd),
            b'}' => self.close_bracket(Kind::FlowMappingEnd),
            b',' => {
                self.end_key()?;
                self.indicator(Kind::FlowEntry, true);
                Ok(())
            }
            b'-' if alone => self.entry(),
            b'?' if in_brackets || alone => self.key(),
            b':' if in_brackets || alone => self.value(),
            b'*' | b'&' => self.anchor(),
            b'!' => self.tag(),
            b'|' | b'>' if !in_brackets => self.block_scalar(),
            b'\'' | b'"' => self.quoted(),
            b'#' | b'|' | b'>' | b'%' | b'@' | b'`' | b'\t' => {
                let character = char::from(self.at.byte(0));
                self.error(&match character {
                    '\t' => "a tab stands where spaces are expected".to_owned(),
                    _ => format!("no value begins with {character}: quote it"),
                })
            }
            _ => self.plain(),
        }
    }

    /// White space and comments. Tabs are white space only where no key may begin.
    fn skip_to_token(&mut self) {
        loop {
            while self.at.is(b' ')
                || (self.at.is(b'\t') && (self.in_brackets() || !self.key_allowed))
            {
                self.at.skip();
            }
            self.at.skip_comment();
            if !self.at.is_break(0) {
                return;
            }
            self.at.skip_break();
            self.key_allowed |= !self.in_brackets();
        }
    }

    fn indicator(&mut self, kind: Kind, key_allowed: bool) {
        self.key_allowed = key_allowed;
        self.push(self.at.line(), kind);
        self.at.skip();
    }

    fn open_bracket(&mut self, kind: Kind) -> Result<(), Fault> {
        self.begin_key()?;
        if self.candidates.len() > DEPTH {
            return Err(Fault::too_deep(self.at.line()));
        }
        self.candidates.push(Candidate {
            possible: false,
            required: false,
            token: self.taken + self.waiting.len(),
            mark: self.at.mark,
        });
        self.indicator(kind, true);
        Ok(())
    }

    fn close_bracket(&mut self, kind: Kind) -> Result<(), Fault> {
        self.end_key()?;
        if self.in_brackets() {
            self.candidates.pop();
        }
        self.indicator(kind, false);
        Ok(())
    }

    fn entry(&mut self) -> Result<(), Fault> {
        if !self.in_brackets() {
            if !self.key_allowed {
                return self.error("a list may not begin here: put the - on a line of its own");
            }
            self.open_block(self.at.mark, None, Kind::BlockSequence)?;
        }
        self.end_key()?;
        self.indicator(Kind::BlockEntry, true);
        Ok(())
    }

    fn key(&mut self) -> Result<(), Fault> {
        if !self.in_brackets() {
            if !self.key_allowed {
                return self.error("a key may not begin here");
            }
            self.open_block(self.at.mark, None, Kind::BlockMapping)?;
        }
        self.end_key()?;
        self.indicator(Kind::Key, !self.in_brackets());
        Ok(())
    }

    fn value(&mut self) -> Result<(), Fault> {
        let last = self.candidates.len() - 1;
        if self.is_possible(last)? {
            let key = &mut self.candidates[last];
            key.possible = false;
            let (number, mark) = (key.token, key.mark);
            let token = Token {
                line: mark.line,
                kind: Kind::Key,
            };
            self.waiting.insert(number - self.taken, token);
            self.open_block(mark, Some(number), Kind::BlockMapping)?;
            self.indicator(Kind::Value, false);
            return Ok(());
        }
        if !self.in_brackets() {
            if !self.key_allowed {
                return self.error("a colon is not expected here: quote the value that holds it, or put the key on a line of its own");
            }
            self.open_block(self.at.mark, None, Kind::BlockMapping)?;
        }
        self.indicator(Kind::Value, !self.in_brackets());
        Ok(())
    }
}

const NO_COLON: &str = "a key and its colon are expected here";
