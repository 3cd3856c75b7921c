//! YAML and JSON as `kubectl` reads them: bytes become documents with their lines, and everything
//! that is wrong with them. Pure. No serde crate reads manifests as `kubectl` does (`0644`, `on:`,
//! `1.0`, merge keys), so that values are resolved here, over a parser of events.

mod items;
mod json;
mod scalar;
mod tabs;
mod text;
mod tree;

use serde_json::Value;

use crate::Reason;

/// How many objects a file may hold.
pub const OBJECTS: usize = 50_000;

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

/// Reads a file.
pub fn parse(bytes: &[u8]) -> Parsed {
    let text = text::decode(bytes);
    let mut parsed = Parsed::default();
    match json::parse(&text) {
        Some(documents) => {
            for document in documents {
                items::flatten(document, &[], &mut parsed);
            }
        }
        None => {
            for chunk in text::chunks(&text) {
                match chunk {
                    Ok(chunk) => yaml(&chunk, &mut parsed),
                    Err(fault) => parsed.faults.push(fault),
                }
                if parsed.documents.len() > OBJECTS {
                    break;
                }
            }
        }
    }
    if parsed.documents.len() > OBJECTS {
        parsed.documents.clear();
        parsed.faults = vec![Fault {
            line: 1,
            reason: Reason::TooLarge,
            message: format!("the file holds more than {OBJECTS} objects: split it"),
        }];
    }
    parsed
}

fn yaml(chunk: &text::Chunk<'_>, parsed: &mut Parsed) {
    let first = chunk.line;
    let at = |line: u32| first + line.saturating_sub(1);
    match tree::read(&chunk.text) {
        Ok(None) => {}
        Ok(Some(mut read)) => {
            for (line, key) in std::mem::take(&mut read.duplicates) {
                parsed.faults.push(Fault {
                    line: at(line),
                    reason: Reason::DuplicateKey,
                    message: format!("the key {key} stands here a second time; the later value counts, as with kubectl: remove one"),
                });
            }
            let lines: Vec<u32> = read.item_lines.iter().map(|line| at(*line)).collect();
            let document = Document {
                line: at(read.line),
                value: read.value,
            };
            items::flatten(document, &lines, parsed);
        }
        Err((line, message)) => {
            let hint = if chunk.text.contains("{{") {
                " (this looks like a template, which must be rendered before it is committed)"
            } else {
                ""
            };
            parsed.faults.push(Fault {
                line: at(line),
                reason: Reason::InvalidYaml,
                message: format!("{message}{hint}"),
            });
        }
    }
}
