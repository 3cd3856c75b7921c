//! Tokens become a tree of nodes: scalars, lists, maps and aliases, each with its line. What they
//! mean together is not decided here.

use std::collections::HashMap;

use super::{
    Budget, DEPTH, Fault, on_enough_stack,
    scalar::{Scalar, resolve},
    scan::{Kind as Token, Scanner},
};

/// A node. Others name it by its place in [`Document::nodes`].
pub(super) struct Node {
    pub(super) line: u32,
    pub(super) kind: Kind,
}

pub(super) enum Kind {
    /// Or why it cannot be one, which matters only where it counts.
    Scalar(Result<Scalar, String>),
    Sequence(Vec<usize>),
    Mapping(Vec<(usize, usize)>),
    Alias(usize),
}

/// A document's nodes.
pub(super) struct Document {
    pub(super) nodes: Vec<Node>,
    pub(super) root: usize,
    /// The line of what follows the document and is not read: `kubectl` reads no further.
    pub(super) rest: Option<u32>,
}

/// Reads the first document of a text. Nothing when there is none.
pub(super) fn read(text: &str, budget: &mut Budget) -> Result<Option<Document>, Fault> {
    let mut parser = Parser {
        scanner: Scanner::new(text),
        nodes: Vec::new(),
        anchors: HashMap::new(),
        budget,
    };
    let root = match &parser.scanner.peek()?.kind {
        Token::End => return Ok(None),
        Token::DocumentStart => {
            let line = parser.scanner.take()?.line;
            match &parser.scanner.peek()?.kind {
                Token::DocumentStart | Token::DocumentEnd | Token::End => parser.empty(line)?,
                _ => parser.node(Place::Block, 0)?,
            }
        }
        _ => parser.node(Place::Block, 0)?,
    };
    let mut next = parser.scanner.peek()?;
    if next.kind == Token::DocumentEnd {
        parser.scanner.take()?;
        // What follows need not even be YAML.
        match parser.scanner.peek() {
            Ok(token) => next = token,
            Err(fault) => {
                return Ok(Some(Document {
                    nodes: parser.nodes,
                    root,
                    rest: Some(fault.line),
                }));
            }
        }
    }
    let rest = (next.kind != Token::End).then_some(next.line);
    Ok(Some(Document {
        nodes: parser.nodes,
        root,
        rest,
    }))
}

/// Where a node stands.
#[derive(Clone, Copy, PartialEq)]
enum Place {
    /// In brackets.
    Flow,
    Block,
    /// Behind a key, where a list may stand in the key's own column.
    Entry,
}

struct Parser<'a> {
    scanner: Scanner<'a>,
    nodes: Vec<Node>,
    /// The latest node of each name.
    anchors: HashMap<String, usize>,
    budget: &'a mut Budget,
}

impl Parser<'_> {
    fn next_is(&mut self, kinds: &[Token]) -> Result<bool, Fault> {
        Ok(kinds.contains(&self.scanner.peek()?.kind))
    }

    fn take_if(&mut self, kind: &Token) -> Result<bool, Fault> {
        let is = self.scanner.peek()?.kind == *kind;
        if is {
            self.scanner.take()?;
        }
        Ok(is)
    }

    /// A fault at the next token; at the beginning of what it stands in when that is never closed.
    fn unexpected<T>(&mut self, begin: u32, what: &str) -> Result<T, Fault> {
        let next = self.scanner.peek()?;
        let line = if next.kind == Token::End {
            begin
        } else {
            next.line
        };
        Err(Fault::invalid(line, what))
    }

    fn add(&mut self, line: u32, kind: Kind) -> Result<usize, Fault> {
        self.budget.spend(line)?;
        self.nodes.push(Node { line, kind });
        Ok(self.nodes.len() - 1)
    }

    /// Where a value is left out.
    fn empty(&mut self, line: u32) -> Result<usize, Fault> {
        self.add(line, Kind::Scalar(Ok(Scalar::Null)))
    }

    /// The line of the next token, for a value that is left out before it.
    fn empty_here(&mut self) -> Result<usize, Fault> {
        let line = self.scanner.peek()?.line;
        self.empty(line)
    }

    fn node(&mut self, place: Place, depth: usize) -> Result<usize, Fault> {
        let line = self.scanner.peek()?.line;
        if depth > DEPTH {
            return Err(Fault::too_deep(line));
        }
        on_enough_stack(|| self.node_at(line, place, depth))
    }

    fn node_at(&mut self, line: u32, place: Place, depth: usize) -> Result<usize, Fault> {
        let (mut anchor, mut tag) = (None, None);
        loop {
            match &self.scanner.peek()?.kind {
                Token::Anchor(_) if anchor.is_none() => {
                    if let Token::Anchor(name) = self.scanner.take()?.kind {
                        anchor = Some(name);
                    }
                }
                Token::Tag(_) if tag.is_none() => {
                    if let Token::Tag(name) = self.scanner.take()?.kind {
                        tag = Some(name);
                    }
                }
                _ => break,
            }
        }
        let has_property = anchor.is_some() || tag.is_some();
        let named = |parser: &mut Self, node| {
            if let Some(name) = anchor {
                parser.anchors.insert(name, node);
            }
            node
        };
        match &self.scanner.peek()?.kind {
            Token::Alias(_) if !has_property => {
                let Token::Alias(name) = self.scanner.take()?.kind else {
                    return self.unexpected(line, "an alias is expected");
                };
                match self.anchors.get(&name) {
                    Some(target) => self.add(line, Kind::Alias(*target)),
                    None => Err(Fault::invalid(
                        line,
                        &format!(
                            "the alias *{name} names no anchor that stands before it: write &{name} there, or quote the value"
                        ),
                    )),
                }
            }
            Token::Scalar { .. } => {
                let Token::Scalar { text, plain } = self.scanner.take()?.kind else {
                    return self.unexpected(line, "a value is expected");
                };
                let scalar = resolve(&text, plain, tag.as_deref());
                let node = self.add(line, Kind::Scalar(scalar))?;
                Ok(named(self, node))
            }
            Token::BlockEntry if place == Place::Entry => {
                let node = self.add(line, Kind::Sequence(Vec::new()))?;
                let node = named(self, node);
                self.flat_sequence(node, depth)
            }
            Token::FlowSequence => {
                let node = self.add(line, Kind::Sequence(Vec::new()))?;
                let node = named(self, node);
                self.flow_sequence(node, depth)
            }
            Token::FlowMapping => {
                let node = self.add(line, Kind::Mapping(Vec::new()))?;
                let node = named(self, node);
                self.flow_mapping(node, depth)
            }
            Token::BlockSequence if place != Place::Flow => {
                let node = self.add(line, Kind::Sequence(Vec::new()))?;
                let node = named(self, node);
                self.block_sequence(node, depth)
            }
            Token::BlockMapping if place != Place::Flow => {
                let node = self.add(line, Kind::Mapping(Vec::new()))?;
                let node = named(self, node);
                self.block_mapping(node, depth)
            }
            _ if has_property => {
                let scalar = resolve("", tag.is_none(), tag.as_deref());
                let node = self.add(line, Kind::Scalar(scalar))?;
                Ok(named(self, node))
            }
            _ => self.unexpected(line, "a value is expected here: write it, or quote it"),
        }
    }

    fn item(&mut self, list: usize, item: usize) {
        if let Kind::Sequence(items) = &mut self.nodes[list].kind {
            items.push(item);
        }
    }

    fn entry(&mut self, map: usize, key: usize, value: usize) {
        if let Kind::Mapping(entries) = &mut self.nodes[map].kind {
            entries.push((key, value));
        }
    }

    fn block_sequence(&mut self, list: usize, depth: usize) -> Result<usize, Fault> {
        let begin = self.scanner.take()?.line;
        while self.scanner.peek()?.kind == Token::BlockEntry {
            let line = self.scanner.take()?.line;
            let item = match self.next_is(&[Token::BlockEntry, Token::BlockEnd])? {
                true => self.empty(line)?,
                false => self.node(Place::Block, depth + 1)?,
            };
            self.item(list, item);
        }
        match self.take_if(&Token::BlockEnd)? {
            true => Ok(list),
            false => self.unexpected(
                begin,
                "the next - of the list, or its end, is expected here: check the indentation",
            ),
        }
    }

    /// A list in the column of its key.
    fn flat_sequence(&mut self, list: usize, depth: usize) -> Result<usize, Fault> {
        const NEXT: [Token; 4] = [Token::BlockEntry, Token::Key, Token::Value, Token::BlockEnd];
        while self.scanner.peek()?.kind == Token::BlockEntry {
            let line = self.scanner.take()?.line;
            let item = match self.next_is(&NEXT)? {
                true => self.empty(line)?,
                false => self.node(Place::Block, depth + 1)?,
            };
            self.item(list, item);
        }
        Ok(list)
    }

    fn block_mapping(&mut self, map: usize, depth: usize) -> Result<usize, Fault> {
        const NEXT: [Token; 3] = [Token::Key, Token::Value, Token::BlockEnd];
        let begin = self.scanner.take()?.line;
        while self.scanner.peek()?.kind == Token::Key {
            let line = self.scanner.take()?.line;
            let key = match self.next_is(&NEXT)? {
                true => self.empty(line)?,
                false => self.node(Place::Entry, depth + 1)?,
            };
            let line = self.scanner.peek()?.line;
            let value = match self.take_if(&Token::Value)? && !self.next_is(&NEXT)? {
                true => self.node(Place::Entry, depth + 1)?,
                false => self.empty(line)?,
            };
            self.entry(map, key, value);
        }
        match self.take_if(&Token::BlockEnd)? {
            true => Ok(map),
            false => self.unexpected(
                begin,
                "the map's next key, or its end, is expected here: check the indentation",
            ),
        }
    }

    fn flow_sequence(&mut self, list: usize, depth: usize) -> Result<usize, Fault> {
        const NEXT: [Token; 2] = [Token::FlowEntry, Token::FlowSequenceEnd];
        let begin = self.scanner.take()?.line;
        let mut first = true;
        while self.scanner.peek()?.kind != Token::FlowSequenceEnd {
            let goes_on = first || self.take_if(&Token::FlowEntry)?;
            if !goes_on || self.next_is(&[Token::End])? {
                return self.unexpected(begin, "a comma or the ] that closes the list is missing");
            }
            first = false;
            if self.scanner.peek()?.kind == Token::FlowSequenceEnd {
                break;
            }
            let item = match self.scanner.peek()?.kind {
                Token::Key => {
                    let line = self.scanner.take()?.line;
                    let pair = self.add(line, Kind::Mapping(Vec::new()))?;
                    let is_empty = self.next_is(&NEXT)? || self.next_is(&[Token::Value])?;
                    let key = match is_empty {
                        true => {
                            // A key that is left out takes with it what stands in its place.
                            self.scanner.take()?;
                            self.empty(line)?
                        }
                        false => self.node(Place::Flow, depth + 2)?,
                    };
                    let value = match self.take_if(&Token::Value)? && !self.next_is(&NEXT)? {
                        true => self.node(Place::Flow, depth + 2)?,
                        false => self.empty_here()?,
                    };
                    self.entry(pair, key, value);
                    pair
                }
                _ => self.node(Place::Flow, depth + 1)?,
            };
            self.item(list, item);
        }
        self.scanner.take()?;
        Ok(list)
    }

    fn flow_mapping(&mut self, map: usize, depth: usize) -> Result<usize, Fault> {
        const NEXT: [Token; 2] = [Token::FlowEntry, Token::FlowMappingEnd];
        let begin = self.scanner.take()?.line;
        let mut first = true;
        while self.scanner.peek()?.kind != Token::FlowMappingEnd {
            let goes_on = first || self.take_if(&Token::FlowEntry)?;
            if !goes_on || self.next_is(&[Token::End])? {
                return self.unexpected(begin, "a comma or the } that closes the map is missing");
            }
            first = false;
            if self.scanner.peek()?.kind == Token::FlowMappingEnd {
                break;
            }
            if !self.take_if(&Token::Key)? {
                let key = self.node(Place::Flow, depth + 1)?;
                let value = self.empty_here()?;
                self.entry(map, key, value);
                continue;
            }
            let is_empty = self.next_is(&NEXT)? || self.next_is(&[Token::Value])?;
            let key = match is_empty {
                true => self.empty_here()?,
                false => self.node(Place::Flow, depth + 1)?,
            };
            let value = match self.take_if(&Token::Value)? && !self.next_is(&NEXT)? {
                true => self.node(Place::Flow, depth + 1)?,
                false => self.empty_here()?,
            };
            self.entry(map, key, value);
        }
        self.scanner.take()?;
        Ok(map)
    }
}
