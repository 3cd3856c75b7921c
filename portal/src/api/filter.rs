//! `$filter` of a list, as far as ARM's command line writes it: `name eq 'value' and …`.

use std::collections::BTreeMap;

use super::{Call, refusal::Refusal};

/// What resources can be looked for by.
pub(super) const RESOURCES: [&str; 6] = [
    "resourceType",
    "resourceGroup",
    "name",
    "location",
    TAG_NAME,
    TAG_VALUE,
];

/// What groups can be looked for by.
pub(super) const GROUPS: [&str; 2] = [TAG_NAME, TAG_VALUE];

/// What role definitions can be looked for by.
pub(super) const DEFINITIONS: [&str; 2] = ["roleName", "type"];

const TAG_NAME: &str = "tagName";
const TAG_VALUE: &str = "tagValue";

/// What must be so of what is listed.
#[derive(Debug, Default)]
pub(super) struct Filter(Vec<(&'static str, String)>);

impl Filter {
    /// That of a call, by these names.
    pub(super) fn read(call: &Call, names: &[&'static str]) -> Result<Self, Refusal> {
        let text = call.parameter("$filter").unwrap_or_default();
        Self::parse(&text, names).ok_or_else(|| Refusal::filter(&text))
    }

    fn parse(text: &str, names: &[&'static str]) -> Option<Self> {
        let term = |text| {
            let (name, quoted) = equal(text)?;
            let known = |known: &&&str| known.eq_ignore_ascii_case(name);
            let name = names.iter().find(known)?;
            let (value, after) = value(quoted)?;
            Some(((*name, value), after))
        };
        joined(text, term).map(Self)
    }

    /// Whether it is so: of the tags, and of the other names as `is` says.
    pub(super) fn holds(
        &self,
        tags: &BTreeMap<String, String>,
        is: impl Fn(&str, &str) -> bool,
    ) -> bool {
        let (by_tag, others): (Vec<_>, Vec<_>) = self
            .0
            .iter()
            .partition(|(name, _)| [TAG_NAME, TAG_VALUE].contains(name));
        // A name and a value are of the same tag.
        let tagged = |(name, value): (&String, &String)| {
            by_tag.iter().all(|(term, wanted)| match *term {
                TAG_NAME => name.eq_ignore_ascii_case(wanted),
                _ => value == wanted,
            })
        };
        others.iter().all(|(name, value)| is(name, value))
            && (by_tag.is_empty() || tags.iter().any(tagged))
    }
}

/// The terms of a text, with `and` between them: `term` reads one, and gives what follows it.
pub(super) fn joined<'a, T>(
    text: &'a str,
    term: impl Fn(&'a str) -> Option<(T, &'a str)>,
) -> Option<Vec<T>> {
    let mut terms = Vec::new();
    let mut rest = text.trim();
    while !rest.is_empty() {
        let (found, after) = term(rest)?;
        terms.push(found);
        rest = match after {
            "" => after,
            // Another one must follow.
            _ => after
                .strip_prefix(" and ")
                .filter(|next| !next.is_empty())?,
        };
    }
    Some(terms)
}

/// The name of a term, and what follows the quote that opens its value.
pub(super) fn equal(text: &str) -> Option<(&str, &str)> {
    let (name, quoted) = text.split_once(" eq '")?;
    Some((name.trim(), quoted))
}

/// A text up to its closing quote, and what follows; two quotes in it are one.
pub(super) fn value(quoted: &str) -> Option<(String, &str)> {
    let mut value = String::new();
    let mut rest = quoted;
    loop {
        let (part, after) = rest.split_once('\'')?;
        value += part;
        match after.strip_prefix('\'') {
            Some(after) => {
                value.push('\'');
                rest = after;
            }
            None => return Some((value, after)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn filters_are_read_as_the_command_line_writes_them() {
        let table = [
            ("", Some(0)),
            ("resourceGroup eq 'edge'", Some(1)),
            (
                "resourceGroup eq 'edge' and resourceType eq 'Microsoft.Kubernetes/connectedClusters'",
                Some(2),
            ),
            ("tagname eq 'a' and tagvalue eq 'b'", Some(2)),
            ("name eq 'a and b' and location eq ' eq '", Some(2)),
            ("name eq 'it''s' and location eq ''''", Some(2)),
            ("name eq ''", Some(1)),
            ("name eq '''", None),
            ("name eq 'x' and ", None),
            ("name eq 'x'and name eq 'y'", None),
            ("name ne 'x'", None),
            ("name eq x", None),
            ("name eq 'x' or name eq 'y'", None),
            ("plan eq 'x'", None),
        ];
        for (text, terms) in table {
            let read = Filter::parse(text, &RESOURCES);
            assert_eq!(read.map(|read| read.0.len()), terms, "{text}");
        }
        assert!(Filter::parse("name eq 'x'", &GROUPS).is_none());
        for text in [
            "roleName eq 'Reader' and type eq 'BuiltInRole'",
            "rolename eq 'a and b'",
        ] {
            assert!(Filter::parse(text, &DEFINITIONS).is_some(), "{text}");
        }
        for text in [
            "principalId eq 'x'",
            "atScope()",
            "atScope() or roleName eq 'x'",
        ] {
            assert!(Filter::parse(text, &DEFINITIONS).is_none(), "{text}");
        }
    }

    #[test]
    fn a_name_and_a_value_are_of_the_same_tag() {
        let tags = [("env", "prod"), ("ring", "it's")];
        let tags = tags.map(|(name, value)| (name.to_owned(), value.to_owned()));
        let tags = BTreeMap::from(tags);
        let table = [
            ("", true),
            ("tagName eq 'ENV'", true),
            ("tagName eq 'env' and tagValue eq 'prod'", true),
            ("tagValue eq 'it''s' and tagName eq 'ring'", true),
            ("tagName eq 'env' and tagValue eq 'it''s'", false),
            ("tagName eq 'env' and tagName eq 'ring'", false),
            ("tagValue eq 'PROD'", false),
            ("name eq 'x' and tagValue eq 'prod'", true),
            ("name eq 'y' and tagValue eq 'prod'", false),
        ];
        for (text, wanted) in table {
            let filter = Filter::parse(text, &RESOURCES).unwrap();
            let found = filter.holds(&tags, |name, value| (name, value) == ("name", "x"));
            assert_eq!(found, wanted, "{text}");
        }
    }
}
