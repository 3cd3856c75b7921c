//! One YAML document: the parser's events become a small tree, and that becomes a value.

use std::collections::HashMap;

use granit_parser::{Event, Options, Parser, ScalarStyle, StructureStyle, Tag};
use serde_json::{Map, Value, map::Entry};

use super::{
    DEPTH,
    scalar::{Scalar, resolve},
    tabs,
};

/// Where, from 1, and what.
type Fault = (u32, String);

/// A document.
pub(super) struct Read {
    pub(super) line: u32,
    pub(super) value: Value,
    /// The lines of the entries of its `items`, when it has some.
    pub(super) item_lines: Vec<u32>,
    /// Keys that stand twice in a map, with the line of the second.
    pub(super) duplicates: Vec<(u32, String)>,
}

struct Node {
    line: u32,
    kind: Kind,
}

enum Kind {
    Scalar(Result<Scalar, String>),
    Sequence(Vec<usize>),
    Mapping(Vec<(usize, usize)>),
    Alias(usize),
}

/// Reads the first document of a text; `kubectl` ignores any other. Nothing when there is none.
pub(super) fn read(text: &str) -> Result<Option<Read>, Fault> {
    let mut builder = Builder::default();
    let root = match builder.build(text) {
        Ok(root) => root,
        Err(fault) => {
            // The parser refuses tabs before the lines of `{ }` and `[ ]`, where they mean nothing.
            let Some((spaced, lines)) = tabs::spaced(text) else {
                return Err(fault);
            };
            builder = Builder::default();
            match builder.build(&spaced) {
                Ok(root) if lines.iter().all(|line| builder.is_in_flow(*line)) => root,
                _ => return Err(fault),
            }
        }
    };
    let Some(root) = root else {
        return Ok(None);
    };
    if let Some(line) = tabs::blank_line(text, |line| builder.is_covered(line)) {
        return Err((
            line,
            "a tab stands where indentation is expected: remove it".to_owned(),
        ));
    }
    let Builder { nodes, anchors, .. } = builder;
    let mut resolver = Resolver {
        nodes: &nodes,
        anchors: &anchors,
        open: Vec::new(),
        steps: 0,
        steps_in_aliases: 0,
        in_alias: 0,
        duplicates: Vec::new(),
    };
    let value = resolver.value(root, 0)?;
    if value.is_null() {
        return Ok(None);
    }
    Ok(Some(Read {
        line: nodes[root].line,
        value,
        item_lines: item_lines(&nodes, root),
        duplicates: resolver.duplicates,
    }))
}

fn item_lines(nodes: &[Node], root: usize) -> Vec<u32> {
    let Kind::Mapping(entries) = &nodes[root].kind else {
        return Vec::new();
    };
    let is_items = |key: usize| matches!(&nodes[key].kind, Kind::Scalar(Ok(Scalar::Text(text))) if text == "items");
    let items = entries.iter().find(|(key, _)| is_items(*key));
    match items.map(|(_, value)| &nodes[*value].kind) {
        Some(Kind::Sequence(items)) => items.iter().map(|item| nodes[*item].line).collect(),
        _ => Vec::new(),
    }
}

#[derive(Default)]
struct Builder {
    nodes: Vec<Node>,
    anchors: HashMap<usize, usize>,
    /// Collections that are open, and for a mapping the key that waits for its value.
    open: Vec<(usize, Option<usize>)>,
    /// Where `{ }` and `[ ]` begin and end, by line.
    flows: Vec<(u32, u32)>,
    /// Where scalars of several lines begin and end.
    scalars: Vec<(u32, u32)>,
    /// The lines where the flow collections that are open began.
    open_flows: Vec<Option<u32>>,
}

impl Builder {
    /// Whether a line begins inside of `{ }` or `[ ]`.
    fn is_in_flow(&self, line: u32) -> bool {
        self.flows
            .iter()
            .any(|(from, to)| *from < line && line <= *to)
    }

    /// Whether a line begins inside of something in which tabs are text, or mean nothing.
    fn is_covered(&self, line: u32) -> bool {
        self.is_in_flow(line)
            || self
                .scalars
                .iter()
                .any(|(from, to)| *from < line && line <= *to)
    }

    fn build(&mut self, text: &str) -> Result<Option<usize>, Fault> {
        let mut options = Options::default();
        options.emit_comments = false;
        options.flow_nesting_limit = DEPTH;
        options.block_nesting_limit = DEPTH;
        // As libyaml: a key may not be longer, and is looked for no further.
        options.simple_key_max_lookahead = 1024;
        for next in Parser::new_from_str_with_options(text, options) {
            let (event, span) = next.map_err(|error| {
                (
                    line(error.marker().line()),
                    format!("this is no valid YAML: {}", error.info()),
                )
            })?;
            let end = line(span.end.line());
            let line = line(span.start.line());
            match &event {
                Event::SequenceStart(style, ..) | Event::MappingStart(style, ..) => {
                    self.open_flows
                        .push((*style == StructureStyle::Flow).then_some(line));
                }
                Event::SequenceEnd | Event::MappingEnd => {
                    if let Some(Some(from)) = self.open_flows.pop() {
                        self.flows.push((from, end));
                    }
                }
                Event::Scalar(_, style, ..) if *style != ScalarStyle::Plain && end > line => {
                    self.scalars.push((line, end));
                }
                _ => {}
            }
            let (node, anchor, opens) = match event {
                Event::DocumentStart(_, Some(version))
                    if (version.major, version.minor) != (1, 1) =>
                {
                    return Err((
                        line,
                        "YAML 1.1 is what Kubernetes reads: remove the %YAML line".to_owned(),
                    ));
                }
                Event::Scalar(text_of, style, anchor, tag) => {
                    if style == ScalarStyle::DoubleQuoted
                        && let Some(source) = span.slice(text)
                    {
                        escapes(source).map_err(|what| (line, what))?;
                    }
                    let plain = style == ScalarStyle::Plain;
                    let text_of = if plain {
                        tabs::separators(text_of).map_err(|what| (line, what))?
                    } else {
                        text_of
                    };
                    let scalar = resolve(&text_of, plain, tag.as_deref().map(tag_name).as_deref());
                    (Kind::Scalar(scalar), anchor, false)
                }
                Event::SequenceStart(_, anchor, _) => (Kind::Sequence(Vec::new()), anchor, true),
                Event::MappingStart(_, anchor, _) => (Kind::Mapping(Vec::new()), anchor, true),
                Event::Alias(anchor) => (Kind::Alias(anchor), 0, false),
                Event::SequenceEnd | Event::MappingEnd => {
                    if let Some((node, _)) = self.open.pop()
                        && self.open.is_empty()
                    {
                        return Ok(Some(node));
                    }
                    continue;
                }
                Event::DocumentEnd => return Ok(None),
                _ => continue,
            };
            let index = self.nodes.len();
            self.nodes.push(Node { line, kind: node });
            if anchor != 0 {
                self.anchors.insert(anchor, index);
            }
            self.attach(index);
            if opens {
                if self.open.len() >= DEPTH {
                    return Err((line, format!("values are nested more than {DEPTH} deep")));
                }
                self.open.push((index, None));
            } else if self.open.is_empty() {
                return Ok(Some(index));
            }
        }
        Ok(None)
    }

    /// Puts a node into the collection that is open.
    fn attach(&mut self, node: usize) {
        let Some((parent, key)) = self.open.last_mut() else {
            return;
        };
        match &mut self.nodes[*parent].kind {
            Kind::Sequence(items) => items.push(node),
            Kind::Mapping(entries) => match key.take() {
                None => *key = Some(node),
                Some(key) => entries.push((key, node)),
            },
            Kind::Scalar(_) | Kind::Alias(_) => {}
        }
    }
}

fn line(number: usize) -> u32 {
    u32::try_from(number).unwrap_or(u32::MAX).max(1)
}

/// A tag without the prefix of YAML's own; others in full.
fn tag_name(tag: &Tag) -> String {
    match tag.handle() {
        "tag:yaml.org,2002:" => tag.suffix().to_owned(),
        handle => format!("{handle}{}", tag.suffix()),
    }
}

/// Escapes that JSON has and the parser takes, but `kubectl` does not.
fn escapes(source: &str) -> Result<(), String> {
    let mut chars = source.chars();
    while let Some(c) = chars.next() {
        if c != '\\' {
            continue;
        }
        match chars.next() {
            Some('/') => return Err("\\/ is an escape of JSON and not of YAML: write /".to_owned()),
            Some('u') => {
                let digits: String = chars.by_ref().take(4).collect();
                if u32::from_str_radix(&digits, 16)
                    .is_ok_and(|code| (0xd800..0xe000).contains(&code))
                {
                    return Err(
                        "half a character: write it as itself, or as \\U and eight digits"
                            .to_owned(),
                    );
                }
            }
            _ => {}
        }
    }
    Ok(())
}

struct Resolver<'a> {
    nodes: &'a [Node],
    anchors: &'a HashMap<usize, usize>,
    /// Nodes whose value is being made: an alias to one of them is a circle.
    open: Vec<usize>,
    steps: usize,
    steps_in_aliases: usize,
    in_alias: usize,
    duplicates: Vec<(u32, String)>,
}

impl Resolver<'_> {
    fn value(&mut self, index: usize, depth: usize) -> Result<Value, Fault> {
        let nodes = self.nodes;
        let node = &nodes[index];
        self.count(node.line)?;
        if depth > DEPTH {
            return Err((
                node.line,
                format!("values are nested more than {DEPTH} deep"),
            ));
        }
        match &node.kind {
            Kind::Scalar(scalar) => match scalar {
                Ok(scalar) => Ok(scalar.clone().value()),
                Err(what) => Err((node.line, what.clone())),
            },
            Kind::Alias(_) => {
                let target = self.enter(index)?;
                let value = self.value(target, depth + 1);
                self.in_alias -= 1;
                value
            }
            Kind::Sequence(items) => {
                self.open.push(index);
                let values = items
                    .iter()
                    .map(|item| self.value(*item, depth + 1))
                    .collect();
                self.open.pop();
                values
            }
            Kind::Mapping(_) => {
                self.open.push(index);
                let mut map = Map::new();
                let result = self.entries(index, &mut map, depth);
                self.open.pop();
                result.map(|()| Value::Object(map))
            }
        }
    }

    /// Adds a mapping's entries to a map, in their order: a later key wins, and a merge counts as
    /// if what it merges stood at its place.
    fn entries(
        &mut self,
        index: usize,
        map: &mut Map<String, Value>,
        depth: usize,
    ) -> Result<(), Fault> {
        let nodes = self.nodes;
        let Kind::Mapping(entries) = &nodes[index].kind else {
            return Err((
                nodes[index].line,
                "<< takes a map, or a list of maps".to_owned(),
            ));
        };
        // Only keys of this very mapping can be there twice.
        let mut own: HashMap<String, u32> = HashMap::new();
        for (key, value) in entries {
            let at = nodes[*key].line;
            self.count(at)?;
            let scalar = match &nodes[self.target(*key)?].kind {
                Kind::Scalar(Ok(scalar)) => scalar.clone(),
                Kind::Scalar(Err(what)) => return Err((at, what.clone())),
                Kind::Sequence(_) | Kind::Mapping(_) | Kind::Alias(_) => {
                    let template = "a key is a map or a list: JSON has only text (a template's {{ }} must be quoted)";
                    return Err((at, template.to_owned()));
                }
            };
            if scalar == Scalar::Merge {
                self.merge(*value, map, depth)?;
                continue;
            }
            let key = scalar.key().map_err(|what| (at, what))?;
            let value = self.value(*value, depth + 1)?;
            if own.insert(key.clone(), at).is_some() {
                self.duplicates.push((at, key.clone()));
            }
            match map.entry(key) {
                Entry::Vacant(entry) => {
                    entry.insert(value);
                }
                Entry::Occupied(mut entry) => {
                    entry.insert(value);
                }
            }
        }
        Ok(())
    }

    fn merge(
        &mut self,
        value: usize,
        map: &mut Map<String, Value>,
        depth: usize,
    ) -> Result<(), Fault> {
        if depth > DEPTH {
            return Err((
                self.nodes[value].line,
                format!("values are nested more than {DEPTH} deep"),
            ));
        }
        match &self.nodes[value].kind {
            Kind::Alias(_) => {
                let target = self.enter(value)?;
                let result = match self.nodes[target].kind {
                    Kind::Mapping(_) => self.merge_mapping(target, map, depth),
                    _ => Err((
                        self.nodes[value].line,
                        "<< takes a map, or a list of maps".to_owned(),
                    )),
                };
                self.in_alias -= 1;
                result
            }
            // From the last to the first, so that the first wins.
            Kind::Sequence(items) => {
                items
                    .iter()
                    .rev()
                    .try_for_each(|item| match self.nodes[*item].kind {
                        Kind::Sequence(_) => Err((
                            self.nodes[*item].line,
                            "<< takes a map, or a list of maps".to_owned(),
                        )),
                        _ => self.merge(*item, map, depth + 1),
                    })
            }
            _ => self.merge_mapping(value, map, depth),
        }
    }

    fn merge_mapping(
        &mut self,
        index: usize,
        map: &mut Map<String, Value>,
        depth: usize,
    ) -> Result<(), Fault> {
        self.open.push(index);
        let result = self.entries(index, map, depth + 1);
        self.open.pop();
        result
    }

    /// The node behind an alias, from now on counted as inside of one.
    fn enter(&mut self, alias: usize) -> Result<usize, Fault> {
        let target = self.target(alias)?;
        if self.open.contains(&target) {
            return Err((
                self.nodes[alias].line,
                "an anchor contains itself".to_owned(),
            ));
        }
        self.in_alias += 1;
        Ok(target)
    }

    fn target(&self, index: usize) -> Result<usize, Fault> {
        match &self.nodes[index].kind {
            Kind::Alias(anchor) => self.anchors.get(anchor).copied().ok_or_else(|| {
                (
                    self.nodes[index].line,
                    "an alias names no anchor".to_owned(),
                )
            }),
            _ => Ok(index),
        }
    }

    /// go-yaml's rule against bombs: much decoding, nearly all of it inside of aliases.
    #[expect(clippy::cast_precision_loss, reason = "a ratio of small numbers")]
    fn count(&mut self, line: u32) -> Result<(), Fault> {
        self.steps += 1;
        if self.in_alias > 0 {
            self.steps_in_aliases += 1;
        }
        let steps = self.steps as f64;
        let allowed = match self.steps {
            ..=400_000 => 0.99,
            4_000_000.. => 0.10,
            _ => 0.99 - 0.89 * (steps - 400_000.0) / 3_600_000.0,
        };
        if self.steps_in_aliases > 100
            && self.steps > 1000
            && self.steps_in_aliases as f64 / steps > allowed
        {
            return Err((
                line,
                "the document consists of aliases that multiply: write it out".to_owned(),
            ));
        }
        Ok(())
    }
}
