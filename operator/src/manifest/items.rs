//! Lists, which stand for the objects in them.

use serde_json::Value;

use super::{Document, Fault, Parsed};
use crate::Reason;

/// Adds a document, or when it is a list the objects in it. `lines` are those of its items. To
/// `kubectl` whatever has a kind and `items` is a list; in a typed one its items need not say their kind.
pub(super) fn flatten(document: Document, lines: &[u32], parsed: &mut Parsed) {
    let Document { line, mut value } = document;
    if value.is_null() {
        return;
    }
    let fault = |line: u32, message: &str| Fault {
        line,
        reason: Reason::NotAnObject,
        message: message.to_owned(),
    };
    let text =
        |value: &Value, field: &str| value.get(field).and_then(Value::as_str).map(str::to_owned);
    let is_object = text(&value, "kind").is_some();
    let items = match value.get_mut("items").map(Value::take) {
        Some(Value::Array(items)) if is_object => items,
        Some(Value::Null) if is_object => return,
        Some(_) if is_object => {
            parsed.faults.push(fault(
                line,
                "items is no list: write a list of objects below it",
            ));
            return;
        }
        Some(other) => {
            value["items"] = other;
            parsed.documents.push(Document { line, value });
            return;
        }
        None => {
            parsed.documents.push(Document { line, value });
            return;
        }
    };
    let is_of = |field: &str, is: fn(&Value) -> bool| {
        let value = value.get(field);
        value.is_none_or(|value| value.is_null() || is(value))
    };
    if !is_of("metadata", Value::is_object) || !is_of("apiVersion", Value::is_string) {
        let message = "apiVersion is text and metadata a map, of a list as well: correct them";
        parsed.faults.push(fault(line, message));
        return;
    }
    let kind = text(&value, "kind").unwrap_or_default();
    let item_kind = kind.strip_suffix("List").unwrap_or(&kind);
    let api_version = text(&value, "apiVersion").unwrap_or_default();
    for (index, mut item) in items.into_iter().enumerate() {
        let line = lines.get(index).copied().unwrap_or(line);
        match &mut item {
            Value::Null => continue,
            Value::Object(fields) => {
                if fields.get("items").is_some_and(Value::is_array) {
                    parsed.faults.push(fault(
                        line,
                        "a list is in a list: put its items into the outer one",
                    ));
                    continue;
                }
                if !item_kind.is_empty()
                    && !fields.contains_key("kind")
                    && !fields.contains_key("apiVersion")
                {
                    fields.insert("kind".to_owned(), item_kind.into());
                    fields.insert("apiVersion".to_owned(), api_version.as_str().into());
                }
            }
            _ => {}
        }
        parsed.documents.push(Document { line, value: item });
    }
}
