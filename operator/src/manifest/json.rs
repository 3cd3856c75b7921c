//! JSON files: one object after another.

use serde_json::{Map, Value};

use super::Document;

/// The objects of a JSON file; nothing when it is none, and so is to be read as YAML.
pub(super) fn parse(text: &str) -> Option<Vec<Document>> {
    if !text.trim_start().starts_with('{') {
        return None;
    }
    // What is nested deeper than `serde_json` goes, 128, is read as YAML, which it also is.
    let deserializer = serde_json::Deserializer::from_str(text);
    let mut stream = deserializer.into_iter::<Value>();
    let mut documents = Vec::new();
    loop {
        let rest = &text[stream.byte_offset()..];
        let begin = text.len() - rest.trim_start().len();
        match stream.next() {
            None => return Some(documents),
            Some(Err(_)) => return None,
            Some(Ok(value)) => documents.push(Document {
                line: line_of(text, begin),
                value: numbers(value),
            }),
        }
    }
}

fn line_of(text: &str, offset: usize) -> u32 {
    let breaks = text.as_bytes()[..offset]
        .iter()
        .filter(|byte| **byte == b'\n')
        .count();
    u32::try_from(breaks + 1).unwrap_or(u32::MAX)
}

/// Numbers as `kubectl` writes them.
fn numbers(value: Value) -> Value {
    match value {
        Value::Number(number) if !number.is_i64() => match number.as_f64() {
            Some(float) => super::scalar::float(float).unwrap_or(Value::Null),
            None => Value::Number(number),
        },
        Value::Array(items) => Value::Array(items.into_iter().map(numbers).collect()),
        Value::Object(map) => Value::Object(
            map.into_iter()
                .map(|(key, value)| (key, numbers(value)))
                .collect::<Map<_, _>>(),
        ),
        other => other,
    }
}
