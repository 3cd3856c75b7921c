//! The nodes of a YAML document become a value: aliases and merges are written out, keys become text.

use std::collections::HashMap;

use serde_json::{Map, Value};

use super::{
    Budget, DEPTH, Fault,
    nodes::{self, Kind, Node},
    on_enough_stack,
    scalar::Scalar,
};

/// How much text may come from aliases in one document, in bytes. They name it once and repeat it at
/// will.
const REPEATED: usize = 16 << 20;

/// A document.
pub(super) struct Read {
    pub(super) line: u32,
    pub(super) value: Value,
    /// The lines of the entries of its `items`, when it has some.
    pub(super) item_lines: Vec<u32>,
    /// Keys that stand twice in a map, with the line of the second.
    pub(super) duplicates: Vec<(u32, String)>,
    /// Where what is not read begins.
    pub(super) rest: Option<u32>,
}

/// Reads the first document of a text; `kubectl` ignores any other. Nothing when there is none.
pub(super) fn read(text: &str, budget: &mut Budget) -> Result<Option<Read>, Fault> {
    let Some(document) = nodes::read(text, budget)? else {
        return Ok(None);
    };
    let nodes = &document.nodes;
    let mut resolver = Resolver {
        nodes,
        budget,
        open: Vec::new(),
        // The document itself.
        steps: 1,
        steps_in_aliases: 0,
        in_alias: 0,
        repeated: 0,
        duplicates: Vec::new(),
    };
    let value = resolver.value(document.root, 0)?;
    if value.is_null() && document.rest.is_none() {
        return Ok(None);
    }
    Ok(Some(Read {
        line: nodes[document.root].line,
        value,
        item_lines: item_lines(nodes, document.root),
        duplicates: resolver.duplicates,
        rest: document.rest,
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

struct Resolver<'a> {
    nodes: &'a [Node],
    budget: &'a mut Budget,
    /// Nodes whose value is being made: an alias to one of them is a circle.
    open: Vec<usize>,
    steps: usize,
    steps_in_aliases: usize,
    in_alias: usize,
    /// Bytes of text.
    repeated: usize,
    duplicates: Vec<(u32, String)>,
}

/// A map as it grows, and of each key what it was before it became text.
#[derive(Default)]
struct Entries {
    map: Map<String, Value>,
    keys: HashMap<String, Scalar>,
}

const NOT_A_MAP: &str = "<< takes a map, or a list of maps";

impl Resolver<'_> {
    fn value(&mut self, index: usize, depth: usize) -> Result<Value, Fault> {
        let nodes = self.nodes;
        let node = &nodes[index];
        self.count(node.line)?;
        if depth > DEPTH {
            return Err(Fault::too_deep(node.line));
        }
        on_enough_stack(|| self.value_of(index, node, depth))
    }

    fn value_of(&mut self, index: usize, node: &Node, depth: usize) -> Result<Value, Fault> {
        match &node.kind {
            Kind::Scalar(Ok(scalar)) => {
                self.repeat(scalar, node.line)?;
                let value = scalar.clone().value();
                value.map_err(|what| Fault::invalid(node.line, &what))
            }
            Kind::Scalar(Err(what)) => Err(Fault::invalid(node.line, what)),
            Kind::Alias(target) => {
                self.enter(*target, node.line)?;
                let value = self.value(*target, depth + 1);
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
            Kind::Mapping(entries) => {
                let mut map = Entries::default();
                self.entries(index, entries, &mut map, depth)?;
                Ok(Value::Object(map.map))
            }
        }
    }

    /// Adds a mapping's entries to a map, in their order: a later key wins, and a merge counts as
    /// if what it merges stood at its place.
    fn entries(
        &mut self,
        index: usize,
        entries: &[(usize, usize)],
        map: &mut Entries,
        depth: usize,
    ) -> Result<(), Fault> {
        self.open.push(index);
        // Only keys of this very mapping can be there twice.
        let mut own: HashMap<String, u32> = HashMap::new();
        for (key, value) in entries {
            let at = self.nodes[*key].line;
            if matches!(&self.nodes[*key].kind, Kind::Scalar(Ok(Scalar::Merge))) {
                self.merge(*value, map, depth + 1)?;
                continue;
            }
            let scalar = self.key(*key)?;
            let key = scalar
                .clone()
                .key()
                .map_err(|what| Fault::invalid(at, &what))?;
            let value = self.value(*value, depth + 1)?;
            if let Some(other) = map.keys.get(&key)
                && *other != scalar
            {
                let message = format!(
                    "the key {key} stands here in two forms, such as 1 and \"1\", and which one counts is chance: remove one"
                );
                return Err(Fault::invalid(at, &message));
            }
            if own.insert(key.clone(), at).is_some() {
                self.duplicates.push((at, key.clone()));
            }
            map.keys.insert(key.clone(), scalar);
            map.map.insert(key, value);
        }
        self.open.pop();
        Ok(())
    }

    fn key(&mut self, index: usize) -> Result<Scalar, Fault> {
        let line = self.nodes[index].line;
        self.count(line)?;
        let mut target = index;
        if let Kind::Alias(named) = self.nodes[index].kind {
            self.in_alias += 1;
            self.count(line)?;
            self.in_alias -= 1;
            target = named;
        }
        match &self.nodes[target].kind {
            Kind::Scalar(Ok(scalar)) => {
                self.repeat(scalar, line)?;
                Ok(scalar.clone())
            }
            Kind::Scalar(Err(what)) => Err(Fault::invalid(line, what)),
            Kind::Sequence(_) | Kind::Mapping(_) | Kind::Alias(_) => Err(Fault::invalid(
                line,
                "a key is a map or a list: JSON has only text (a template's {{ }} must be quoted)",
            )),
        }
    }

    fn merge(&mut self, value: usize, map: &mut Entries, depth: usize) -> Result<(), Fault> {
        let nodes = self.nodes;
        let node = &nodes[value];
        match &node.kind {
            // From the last to the first, so that the first wins.
            Kind::Sequence(items) => {
                items
                    .iter()
                    .rev()
                    .try_for_each(|item| match &nodes[*item].kind {
                        Kind::Sequence(_) => Err(Fault::invalid(nodes[*item].line, NOT_A_MAP)),
                        _ => self.merge(*item, map, depth),
                    })
            }
            Kind::Alias(target) => {
                let Kind::Mapping(entries) = &nodes[*target].kind else {
                    return Err(Fault::invalid(node.line, NOT_A_MAP));
                };
                self.count(node.line)?;
                self.enter(*target, node.line)?;
                let result = self.merge_entries(*target, entries, map, depth);
                self.in_alias -= 1;
                result
            }
            Kind::Mapping(entries) => self.merge_entries(value, entries, map, depth),
            Kind::Scalar(_) => Err(Fault::invalid(node.line, NOT_A_MAP)),
        }
    }

    fn merge_entries(
        &mut self,
        index: usize,
        entries: &[(usize, usize)],
        map: &mut Entries,
        depth: usize,
    ) -> Result<(), Fault> {
        let line = self.nodes[index].line;
        self.count(line)?;
        if depth > DEPTH {
            return Err(Fault::too_deep(line));
        }
        self.entries(index, entries, map, depth)
    }

    /// What follows is inside of an alias.
    fn enter(&mut self, target: usize, line: u32) -> Result<(), Fault> {
        if self.open.contains(&target) {
            return Err(Fault::invalid(line, "an anchor contains itself"));
        }
        self.in_alias += 1;
        Ok(())
    }

    fn repeat(&mut self, scalar: &Scalar, line: u32) -> Result<(), Fault> {
        if let (Scalar::Text(text), 1..) = (scalar, self.in_alias) {
            self.repeated += text.len();
            if self.repeated > REPEATED {
                return Err(Fault::bomb(line));
            }
        }
        Ok(())
    }

    /// go-yaml's rule against bombs: much decoding, nearly all of it inside of aliases.
    #[expect(clippy::cast_precision_loss, reason = "a ratio of small numbers")]
    fn count(&mut self, line: u32) -> Result<(), Fault> {
        self.steps += 1;
        if self.in_alias > 0 {
            self.steps_in_aliases += 1;
            // The others were counted when they were read.
            self.budget.spend(line)?;
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
            return Err(Fault::bomb(line));
        }
        Ok(())
    }
}
