//! Reading YAML as `kubectl` does: each file of `cases` beside what `kubectl` 1.33 made of it. NAME
//! `.json` holds the objects that it sent, NAME`.err` what it said when it refused.

use std::{collections::BTreeSet, fs, path::Path};

use gitmoor_operator::{
    Reason,
    manifest::{DEPTH, parse},
    read::bodies,
};
use serde_json::{Value, json};

/// Cases in which we refuse, with words, what `kubectl` takes.
const REFUSED: [&str; 0] = [];

fn cases() -> BTreeSet<String> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/operator/cases");
    let names = fs::read_dir(folder).unwrap().filter_map(|entry| {
        let name = entry.unwrap().file_name().into_string().unwrap();
        name.strip_suffix(".yaml").map(str::to_owned)
    });
    names.collect()
}

fn file(name: &str) -> Option<Vec<u8>> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/operator/cases");
    fs::read(folder.join(name)).ok()
}

/// Whether an integer is one and a float is one, in both. The last digit of a float is not
/// compared, which the test's own reading of JSON may get wrong; and there is one zero.
pub(super) fn same(a: &Value, b: &Value) -> bool {
    match (a, b) {
        (Value::Number(a), Value::Number(b)) => {
            let near = |a: f64, b: f64| (a - b).abs() <= a.abs() * 1e-15;
            let zero = a.as_f64() == Some(0.0) && b.as_f64() == Some(0.0);
            let floats = !a.is_i64() && !b.is_i64();
            a == b
                || zero
                || (floats && a.as_f64().zip(b.as_f64()).is_some_and(|(a, b)| near(a, b)))
        }
        (Value::Array(a), Value::Array(b)) => {
            a.len() == b.len() && a.iter().zip(b).all(|(a, b)| same(a, b))
        }
        (Value::Object(a), Value::Object(b)) => {
            a.len() == b.len()
                && a.iter()
                    .all(|(key, a)| b.get(key).is_some_and(|b| same(a, b)))
        }
        (a, b) => a == b,
    }
}

#[test]
fn every_case_is_read_as_kubectl_reads_it() {
    let mut wrong = Vec::new();
    for name in cases() {
        let parsed = parse(&file(&format!("{name}.yaml")).unwrap());
        let faults: Vec<_> = parsed
            .faults
            .iter()
            .filter(|fault| !fault.reason.is_warning())
            .collect();
        let refused = file(&format!("{name}.err")).is_some();
        let sent = file(&format!("{name}.json"));
        if REFUSED.contains(&name.as_str()) {
            assert!(
                !faults.is_empty(),
                "{name} is taken now: strike it off the list"
            );
            continue;
        }
        if refused {
            let text = String::from_utf8_lossy(&file(&format!("{name}.err")).unwrap()).into_owned();
            // An empty file is no error here.
            if faults.is_empty() && !text.contains("no objects passed") {
                wrong.push(format!(
                    "{name}: taken, but kubectl says: {text}{:?}",
                    parsed.documents
                ));
            }
            continue;
        }
        let sent = String::from_utf8(sent.unwrap()).unwrap();
        let got: Vec<Value> = parsed
            .documents
            .into_iter()
            .map(|document| document.value)
            .collect();
        let Ok(wanted) = serde_json::from_str::<Vec<Value>>(&sent) else {
            // Deeper than serde_json reads: there it is compared as text.
            let text: String = sent.chars().filter(|c| !c.is_whitespace()).collect();
            assert_eq!(json!(got).to_string(), text, "{name}");
            continue;
        };
        if !faults.is_empty() {
            wrong.push(format!("{name}: refused: {faults:?}"));
        } else if wanted.len() != got.len() || !wanted.iter().zip(&got).all(|(a, b)| same(a, b)) {
            wrong.push(format!(
                "{name}: kubectl {} we {}",
                json!(wanted),
                json!(got)
            ));
        }
    }
    assert!(
        wrong.is_empty(),
        "{} cases:\n{}",
        wrong.len(),
        wrong.join("\n")
    );
}

/// The value of `a: …`.
fn value(text: &str) -> Value {
    let parsed = parse(format!("a: {text}\n").as_bytes());
    assert!(parsed.faults.is_empty(), "{text}: {:?}", parsed.faults);
    parsed.documents[0].value["a"].clone()
}

fn fault(text: &str) -> (u32, Reason, String) {
    let parsed = parse(text.as_bytes());
    assert_eq!(parsed.faults.len(), 1, "{text}: {parsed:?}");
    let fault = &parsed.faults[0];
    (fault.line, fault.reason, fault.message.clone())
}

#[test]
fn scalars_mean_what_they_mean_to_kubectl() {
    let table: [(&str, Value); 47] = [
        ("0644", json!(420)),
        ("0o644", json!(420)),
        ("0O17", json!(15)),
        ("-0644", json!(-420)),
        ("08", json!(8)),
        ("007", json!(7)),
        ("00", json!(0)),
        ("0x1F", json!(31)),
        ("0X1f", json!(31)),
        ("-0x1f", json!(-31)),
        ("0b11", json!(3)),
        ("0B11", json!(3)),
        ("1_000", json!(1000)),
        ("1__0", json!(10)),
        ("+12", json!(12)),
        ("1e3", json!(1000)),
        ("1.0", json!(1)),
        ("1.", json!(1)),
        (".5", json!(0.5)),
        ("-.5", json!(-0.5)),
        ("1.5e-3", json!(0.0015)),
        ("-0.0", json!(0)),
        ("4e400", json!("4e400")),
        ("9223372036854775807", json!(9_223_372_036_854_775_807_i64)),
        (
            "9223372036854775808",
            json!(9_223_372_036_854_775_808.0_f64),
        ),
        (
            "-9223372036854775809",
            json!(-9_223_372_036_854_775_808.0_f64),
        ),
        ("1:30", json!("1:30")),
        ("2001-01-01", json!("2001-01-01")),
        ("1.2.3", json!("1.2.3")),
        ("1e", json!("1e")),
        ("0x", json!("0x")),
        ("_1", json!("_1")),
        ("+", json!("+")),
        (".", json!(".")),
        ("yes", json!(true)),
        ("Off", json!(false)),
        ("y", json!(true)),
        ("N", json!(false)),
        ("tRue", json!("tRue")),
        ("~", json!(null)),
        ("Null", json!(null)),
        ("nULL", json!("nULL")),
        ("\"yes\"", json!("yes")),
        ("'0644'", json!("0644")),
        ("! 12", json!("12")),
        ("!!str 12", json!("12")),
        ("!!binary aGVsbG8=", json!("hello")),
    ];
    for (text, wanted) in table {
        let got = value(text);
        assert!(same(&got, &wanted), "{text}: {got} and not {wanted}");
    }
}

#[test]
fn keys_are_text_by_their_value() {
    let parsed = parse(b"on: 1\nn: 2\n0x10: 3\n0644: 4\n1e3: 5\n1.5: 6\n\"yes\": 7\n");
    assert_eq!(
        parsed.documents[0].value,
        json!({"true": 1, "false": 2, "16": 3, "420": 4, "1000": 5, "1.5": 6, "yes": 7})
    );
}

#[test]
fn merges_count_at_their_place() {
    let text = "base: &base {cpu: 1, memory: 2}\nlate: {cpu: 3, <<: *base}\nearly: {<<: *base, cpu: 3}\nquoted: {\"<<\": *base}\n";
    let value = &parse(text.as_bytes()).documents[0].value;
    assert_eq!(value["late"], json!({"cpu": 1, "memory": 2}));
    assert_eq!(value["early"], json!({"cpu": 3, "memory": 2}));
    assert_eq!(value["quoted"], json!({"<<": {"cpu": 1, "memory": 2}}));
    let list = "a: &a {x: 1}\nb: &b {x: 2, z: 2}\nc: {<<: [*a, *b]}\n";
    assert_eq!(
        parse(list.as_bytes()).documents[0].value["c"],
        json!({"x": 1, "z": 2})
    );
}

#[test]
fn faults_have_their_line_and_neighbours_are_read() {
    let text = "kind: A\n---\nkind: B\n bad: indent\n---\n# a comment\nkind: C\n";
    let parsed = parse(text.as_bytes());
    let kinds: Vec<_> = parsed
        .documents
        .iter()
        .map(|one| (one.line, one.value["kind"].as_str().unwrap()))
        .collect();
    assert_eq!(kinds, [(1, "A"), (7, "C")]);
    assert_eq!(
        (parsed.faults.len(), parsed.faults[0].reason),
        (1, Reason::InvalidYaml)
    );
    assert!(
        (3..=4).contains(&parsed.faults[0].line),
        "{:?}",
        parsed.faults
    );
}

#[test]
fn a_duplicate_key_is_a_remark_and_the_later_wins() {
    let parsed = parse(b"a: 1\nb: 2\na: 3\n");
    assert_eq!(parsed.documents[0].value, json!({"a": 3, "b": 2}));
    assert_eq!(
        (parsed.faults[0].line, parsed.faults[0].reason),
        (3, Reason::DuplicateKey)
    );
}

#[test]
fn lists_are_flattened_with_the_lines_of_their_items() {
    let text = "kind: ConfigMapList\nitems:\n- kind: A\n- null\n- metadata: {name: b}\n- kind: List\n  items: [{kind: B}, {kind: C}]\n";
    let parsed = parse(text.as_bytes());
    let found: Vec<_> = parsed
        .documents
        .iter()
        .map(|one| (one.line, one.value["kind"].as_str().unwrap()))
        .collect();
    assert_eq!(found, [(3, "A"), (5, "ConfigMap")]);
    assert_eq!(
        (parsed.faults.len(), parsed.faults[0].line),
        (1, 6),
        "a list in a list"
    );
}

#[test]
fn tabs_mean_nothing_inside_of_brackets_and_are_refused_elsewhere() {
    let flow = parse(b"a: {\n\tb: c,\n\t\n \td: [\n\t1]\n}\ne: f\n");
    assert!(flow.faults.is_empty(), "{:?}", flow.faults);
    assert_eq!(
        flow.documents[0].value,
        json!({"a": {"b": "c", "d": [1]}, "e": "f"})
    );
    for text in [
        "a:\n\tb: c\n",
        "a: b\n\t\nc: d\n",
        "a: {\n\tb: c}\nd:\n\te: f\n",
    ] {
        assert_eq!(fault(text).1, Reason::InvalidYaml, "{text:?}");
    }
}

#[test]
fn json_files_hold_one_object_after_another() {
    let parsed = parse(b" {\"a\": 1.0, \"b\": \"\\ud83d\\ude00\"}\n{\"a\": 18446744073709551615}");
    assert!(parsed.faults.is_empty());
    assert_eq!(parsed.documents[0].value, json!({"a": 1, "b": "\u{1f600}"}));
    assert_eq!((parsed.documents[1].line, parsed.documents.len()), (2, 2));
}

#[test]
fn what_is_missing_at_the_end_is_a_fault_of_the_last_line() {
    for text in ["[?", "a: [b\n", "a: b\nc: \"d\n", "a: b\nc: 'd\n", "- a: {"] {
        let faults = parse(text.as_bytes()).faults;
        let lines = u32::try_from(text.lines().count()).unwrap();
        assert!(
            faults.len() == 1 && faults[0].line <= lines,
            "{text:?} {faults:?}"
        );
    }
}

#[test]
fn a_template_is_called_one() {
    let (line, reason, message) = fault("kind: A\nmetadata:\n  {{ if .x }}\n  name: b\n");
    assert_eq!(reason, Reason::InvalidYaml);
    assert!(
        line >= 3 && message.contains("template"),
        "{line} {message}"
    );
}

#[test]
fn bombs_end_soon_and_clearly() {
    let mut laughs = String::from("a0: &a0 [x,x,x,x,x,x,x,x,x]\n");
    for n in 1..9 {
        let item = format!("*a{}", n - 1);
        laughs.push_str(&format!("a{n}: &a{n} [{}]\n", vec![item; 9].join(",")));
    }
    let deep = "[".repeat(100_000);
    let braces = "{a: ".repeat(100_000);
    let dashes = format!("{}x", "- ".repeat(10_001));
    for (name, text) in [
        ("laughs", laughs),
        ("deep", deep),
        ("braces", braces),
        ("dashes", dashes),
    ] {
        let start = std::time::Instant::now();
        let parsed = parse(text.as_bytes());
        assert_eq!(parsed.faults.len(), 1, "{name}");
        // Quadratic work would take minutes, whatever the machine.
        assert!(
            start.elapsed().as_secs() < 20,
            "{name} took {:?}",
            start.elapsed()
        );
    }
}

#[test]
fn deep_values_are_taken_up_to_the_limit() {
    let nested = |depth: usize| format!("{}x{}", "[".repeat(depth), "]".repeat(depth));
    assert!(parse(nested(DEPTH - 2).as_bytes()).faults.is_empty());
    assert!(!parse(nested(DEPTH + 2).as_bytes()).faults.is_empty());
    let honest = format!("a: &a 1\nb: [{}]\n", vec!["*a"; 500].join(","));
    assert!(parse(honest.as_bytes()).faults.is_empty());
}

#[test]
fn a_secret_is_sent_with_data_alone() {
    let text = b"apiVersion: v1\nkind: Secret\nmetadata: {name: s, creationTimestamp: null}\nstringData: {a: hello}\ndata: {b: eA==}\nstatus: {}\n";
    assert_eq!(
        bodies(text)[0],
        json!({"apiVersion": "v1", "kind": "Secret", "metadata": {"name": "s"}, "data": {"a": "aGVsbG8=", "b": "eA=="}})
    );
}
