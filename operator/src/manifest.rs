//! YAML and JSON as `kubectl` reads them: bytes become documents with their lines, and everything
//! that is wrong with them. Pure. No crate reads manifests as `kubectl` does (`0644`, `on:`, `1.0`,
//! merge keys, `y: [a` and a thousand forms more), so that the reader is our own from the bytes on.

mod cursor;
mod items;
mod json;
mod nodes;
mod scalar;
mod scan;
mod text;
mod tree;

use serde_json::Value;

use crate::Reason;

/// How many objects a file may hold.
pub const OBJECTS: usize = 50_000;

/// How many values and keys a file may hold, with those that its aliases repeat: a bound on memory,
/// some hundred bytes for each.
pub const VALUES: usize = 1_000_000;

/// How many faults of a file are told.
pub const FAULTS: usize = 1_000;

/// How deep values may be nested. `kubectl` takes 10,000; 512 is kinder to every stack on the way,
/// and deeper than any schema.
pub const DEPTH: usize = 512;

/// One document, or one item of a list.
#[derive(Clone, Debug, PartialEq)]
pub struct Document {
    /// The line of its first key, from 1.
    pub line: u32,
    /// What it says.
    pub value: Value,
}

/// Something that is wrong with a file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Fault {
    /// The line, from 1.
    pub line: u32,
    /// What sort of problem it is.
    pub reason: Reason,
    /// What is wrong and what to do; never a value of the file.
    pub message: String,
}

/// What a file holds.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Parsed {
    /// Its documents in order, lists flattened, empty ones left out. Those before and after a
    /// faulty one are here.
    pub documents: Vec<Document>,
    /// What is wrong.
    pub faults: Vec<Fault>,
}

impl Fault {
    fn invalid(line: u32, what: &str) -> Self {
        Self {
            line,
            reason: Reason::InvalidYaml,
            message: format!("this is no valid YAML: {what}"),
        }
    }

    fn too_deep(line: u32) -> Self {
        Self {
            line,
            reason: Reason::TooLarge,
            message: format!(
                "values are nested more than {DEPTH} deep, which is not read here: make it flatter"
            ),
        }
    }

    fn bomb(line: u32) -> Self {
        Self {
            line,
            reason: Reason::TooLarge,
            message: "the document consists of aliases that multiply: write it out".to_owned(),
        }
    }
}

/// Goes one level deeper. Threads are small, and [`DEPTH`] levels take some MiB of stack.
fn on_enough_stack<T>(work: impl FnOnce() -> T) -> T {
    stacker::maybe_grow(128 << 10, 4 << 20, work)
}

/// How many more values a file may hold.
struct Budget(usize);

impl Budget {
    fn spend(&mut self, line: u32) -> Result<(), Fault> {
        match self.0.checked_sub(1) {
            Some(left) => {
                self.0 = left;
                Ok(())
            }
            None => Err(Fault {
                line,
                reason: Reason::TooLarge,
                message: format!("the file holds more than {VALUES} values: split it"),
            }),
        }
    }
}

/// Reads a file.
pub fn parse(bytes: &[u8]) -> Parsed {
    let text = text::decode(bytes);
    let mut file = File {
        parsed: Parsed::default(),
        budget: Budget(VALUES),
    };
    if text.trim_start().starts_with('{') {
        file.json(&text);
    } else {
        file.yaml(&text, 1, None);
    }
    file.parsed
}

/// A file that is being read.
struct File {
    parsed: Parsed,
    budget: Budget,
}

impl File {
    /// JSON values. What follows the first, or stands in its place, may be YAML instead.
    fn json(&mut self, text: &str) {
        let mut reader = json::Reader::new(text);
        let mut count = 0;
        let fault = loop {
            match reader.next(&mut self.budget) {
                Ok(None) => return,
                Ok(Some(read)) => {
                    count += 1;
                    self.json_value(read);
                }
                Err(json::Error::Syntax(fault)) if count <= 1 => break fault,
                Err(json::Error::Syntax(fault) | json::Error::Refused(fault)) => {
                    return self.parsed.faults.push(fault);
                }
            }
            if self.is_full() {
                return;
            }
        };
        let (rest, mut line) = reader.rest();
        let trimmed = rest.trim_start();
        let space = &rest[..rest.len() - trimmed.len()];
        let begin = space.find('\n').map_or(space.len(), |at| at + 1);
        line += u32::from(space.contains('\n'));
        self.yaml(&rest[begin..], line, Some(fault));
    }

    fn json_value(&mut self, read: json::Read) {
        self.duplicates(read.duplicates, 1);
        if let Some(fault) = read.unfit {
            return self.parsed.faults.push(fault);
        }
        let document = Document {
            line: read.line,
            value: read.value,
        };
        items::flatten(document, &read.item_lines, &mut self.parsed);
    }

    /// YAML documents. What was wrong with the text as JSON is told instead of what is wrong with
    /// the first of them.
    fn yaml(&mut self, text: &str, line: u32, mut json: Option<Fault>) {
        for chunk in text::chunks(text, line) {
            let read = chunk.and_then(|chunk| self.document(&chunk));
            let json = json.take();
            if let Err(fault) = read {
                self.parsed.faults.push(match json {
                    Some(json) if fault.reason == Reason::InvalidYaml => json,
                    _ => fault,
                });
            }
            if self.is_full() {
                return;
            }
        }
    }

    fn document(&mut self, chunk: &text::Chunk<'_>) -> Result<(), Fault> {
        let first = chunk.line;
        let at = |line: u32| first + line.saturating_sub(1);
        if let Some((line, character)) = text::forbidden(&chunk.text) {
            let message = format!(
                "the character U+{:04X} may not stand in it: remove it, or write it as an escape in double quotes",
                u32::from(character)
            );
            return Err(Fault::invalid(at(line), &message));
        }
        let read = tree::read(&chunk.text, &mut self.budget).map_err(|mut fault| {
            fault.line = at(fault.line);
            if chunk.text.contains("{{") {
                fault.message += TEMPLATE;
            }
            fault
        })?;
        let Some(read) = read else { return Ok(()) };
        self.duplicates(read.duplicates, first);
        if let Some(line) = read.rest {
            self.parsed.faults.push(Fault {
                line: at(line),
                reason: Reason::NotRead,
                message: "the document ends before this, and nothing up to the next --- is read, as with kubectl: begin a document with --- on a line of its own, or remove this".to_owned(),
            });
        }
        let lines: Vec<u32> = read.item_lines.iter().map(|line| at(*line)).collect();
        let document = Document {
            line: at(read.line),
            value: read.value,
        };
        items::flatten(document, &lines, &mut self.parsed);
        Ok(())
    }

    /// Keys that stand twice, with lines that are counted from a document's.
    fn duplicates(&mut self, keys: Vec<(u32, String)>, document: u32) {
        self.parsed.faults.extend(keys.into_iter().take(FAULTS).map(|(line, key)| Fault {
            line: document + line - 1,
            reason: Reason::DuplicateKey,
            message: format!("the key {key} stands here a second time; the later value counts, as with kubectl: remove one"),
        }));
    }

    /// Whether there is no sense in reading on.
    fn is_full(&mut self) -> bool {
        let Parsed { documents, faults } = &mut self.parsed;
        if documents.len() > OBJECTS {
            documents.clear();
            *faults = vec![Fault {
                line: 1,
                reason: Reason::TooLarge,
                message: format!("the file holds more than {OBJECTS} objects: split it"),
            }];
            return true;
        }
        if faults.len() >= FAULTS {
            let line = faults[FAULTS - 1].line;
            faults.truncate(FAULTS - 1);
            faults.push(Fault {
                line,
                reason: Reason::TooLarge,
                message: format!("the file has {FAULTS} problems or more, and is read no further: correct the others first"),
            });
            return true;
        }
        self.budget.0 == 0
    }
}

const TEMPLATE: &str =
    " (this looks like a template, which must be rendered before it is committed)";
