//! Any bytes are read to an end, within the bounds, and the same way each time; what is sent reads as
//! what it was written from, by the reader of JSON and by the reader of YAML.

#![no_main]

use gitmoor_operator::manifest::{FAULTS, OBJECTS, parse};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| {
    let parsed = parse(bytes);
    assert!(parsed.documents.len() <= OBJECTS);
    assert!(parsed.faults.len() <= FAULTS + 1);
    let newlines = bytes.iter().filter(|byte| matches!(byte, b'\n' | b'\r'));
    let lines = u32::try_from(newlines.count() + 1).unwrap_or(u32::MAX);
    // Text in UTF-16 has line breaks that are not bytes, and Unicode knows more of them.
    let lines_are_known = bytes.is_ascii();
    for fault in &parsed.faults {
        assert!(fault.line >= 1, "{fault:?}");
        assert!(fault.line <= lines || !lines_are_known, "{fault:?}");
    }
    assert_eq!(parse(bytes), parsed);
    for document in &parsed.documents {
        assert!(document.line >= 1 && (document.line <= lines || !lines_are_known));
        let sent = serde_json::to_vec(&document.value).expect("a value can be written");
        match serde_json::from_slice::<serde_json::Value>(&sent) {
            Ok(read) => assert_eq!(read, document.value),
            // This reader goes less deep than ours.
            Err(error) => assert!(error.to_string().contains("recursion limit"), "{error}"),
        }
        // A file that begins with a brace is read as JSON first.
        let yaml = [b"# YAML\n", &*sent].concat();
        let again = parse(&yaml);
        // Some JSON is no YAML, such as keys without an end; and what YAML 1.1 takes for a line
        // break, JSON does not.
        let breaks = ['\u{85}', '\u{2028}', '\u{2029}'];
        let is_alike = !String::from_utf8_lossy(&sent).contains(breaks);
        if is_alike && again.faults.is_empty() && again.documents.len() == 1 {
            assert_eq!(again.documents[0].value, document.value);
        }
    }
});
