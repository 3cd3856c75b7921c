//! Files as people, tools and nobody would write them: YAML from a grammar, JSON, and either with
//! random changes. The same seed gives the same files.

use rand::{Rng as _, SeedableRng as _, rngs::StdRng, seq::IndexedRandom as _};

/// Scalars, plain or quoted, that readers disagree on, and some that none does.
const SCALARS: &str = "\
a¦b c¦1¦0¦-1¦+1¦12¦1.5¦1.0¦1.¦.5¦-.5¦+.5¦1e3¦1E3¦1e+3¦1.5e-3¦1e400¦-1e400¦.5e1¦1e¦e1¦1.2.3¦1..2¦.¦..¦...x¦\
0x1F¦0X1f¦-0x1f¦0x¦0xg¦0o17¦0O17¦-0o17¦0b11¦0B11¦-0b11¦0b2¦0b-1¦0b+1¦-0b-1¦0b¦0644¦-0644¦08¦007¦00¦0_7¦1_000¦1__0¦_1¦1_¦0x_1¦1_.5¦1e1_0¦\
9223372036854775807¦9223372036854775808¦-9223372036854775808¦-9223372036854775809¦18446744073709551615¦18446744073709551616¦+18446744073709551615¦\
123456789012345678901234567890¦1.7976931348623157e308¦5e-324¦1e-400¦0.1¦1e21¦1e20¦1e-6¦1e-7¦123456789.123456789¦0.30000000000000004¦-0¦-0.0¦0e0¦\
.inf¦-.inf¦+.Inf¦.INF¦.nan¦.NaN¦.NAN¦inf¦nan¦Infinity¦.Nan¦.iNf¦-.nan¦\
y¦Y¦yes¦Yes¦YES¦yES¦n¦N¦no¦No¦NO¦nO¦on¦On¦ON¦off¦Off¦OFF¦true¦True¦TRUE¦tRUE¦false¦False¦FALSE¦~¦null¦Null¦NULL¦nULL¦nil¦None¦\
1:30¦1:30:45¦190:20:30¦-1:30¦1:30.5¦2001-01-01¦2001-1-1¦2001-01-01T00:00:00Z¦2001-12-14t21:59:43.10-05:00¦2001-12-14 21:59:43.10¦2001-12-14 21:59:43.10 -5¦2001-99-99¦20010101¦\
''¦\"\"¦'a'¦\"a\"¦'it''s'¦\"a\\nb\"¦\"\\x41\"¦\"\\u00e9\"¦\"\\U0001F600\"¦\"\\/\"¦\"\\ud83d\\ude00\"¦\"\\e\\0\\a\\_\\N\\L\\P\"¦\"\\q\"¦\"\\x4\"¦\"a\\\n  b\"¦\"a\n\n  b\"¦'a\n  b'¦'0644'¦\"yes\"¦'<<'¦\"a\\tb\"¦\"\\ \"¦\"tab\there\"¦'tab\there'¦\
a: b¦a :b¦a#b¦a #b¦#¦-¦- a¦-a¦?¦? a¦?a¦:¦:a¦a:¦::¦[a¦a]¦{a¦}¦,¦a,b¦@a¦`a¦%a¦!¦!a¦&¦&a¦*¦*a¦*none¦a\\b¦a\"b¦'a¦\"a¦a'b¦=¦<<¦< <¦--- a¦---¦--¦...¦....¦$(a)¦{{ a }}¦{{a}}¦{ {a} }¦é¦日本¦\u{1f600}¦a\u{85}b¦a\u{2028}b¦a\u{2028} b¦\u{feff}a¦a\u{a0}b¦\u{7f}¦a\tb¦a  b¦a\t#b¦a\t# b¦\
!!str 1¦!!str¦!!str ''¦!!str null¦!!int 1¦!!int '1'¦!!int a¦!!int 1.0¦!!float 1¦!!float .5¦!!float '1'¦!!float a¦!!float 18446744073709551615¦!!float .inf¦!!bool yes¦!!bool 'no'¦!!bool 1¦!!null ''¦!!null¦!!null a¦!!null ~¦\
!!binary aGVsbG8=¦!!binary 'aGVs bG8='¦!!binary \"aGVs\\nbG8=\"¦!!binary gICA¦!!binary 4oKs4oI=¦!!binary '*'¦!!binary¦!!timestamp 2001-01-01¦!!timestamp a¦!!timestamp '2001-01-01'¦!!set {a, b}¦!!map {a: b}¦!!seq [a]¦!!omap [a: 1]¦!!foo 1¦!foo 1¦! 1¦! a¦!¦!<tag:yaml.org,2002:int> '1'¦!<tag:yaml.org,2002:str> 1¦!<foo> a¦!e!a 1¦!!merge a¦!!value =¦!!map a¦!!seq {a: b}¦!!str [a]¦!!int {}¦\
[]¦{}¦[a, b]¦[a, b,]¦[,]¦[a,,b]¦{a: b}¦{a: b,}¦{a}¦{a, b: c}¦{a:b}¦{\"a\":b}¦{'a':1}¦[a: b]¦[a: b, c]¦{? a : b}¦[? a : b]¦{[a]: b}¦{a: [b, {c: d}]}¦[[a], [b]]¦{a: 1, a: 2}¦{1: a, '1': b}¦{yes: a, y: b}¦{~: a}¦{: a}¦{a: }¦[a\n, b]¦{a:\n  b}¦[\n  a,\n  b\n  ]¦{a: b # c\n  }¦[a, # c\n  b]¦[a # c]¦[a#c]¦{a: {{ b }}}¦[a b, c  d]¦{http://a/b: c}¦[http://a:1/b]¦{a::b}¦[::a]¦[-a, - b]¦[-]¦[?a]¦{a: 'b', \"c\": \"d\"}¦[\ta,\tb]¦[a,\n\tb]¦{<<: {a: 1}}¦{<<: [{a: 1}, {a: 2}]}¦{<<: a}¦{<<: [a]}¦{\"<<\": {a: 1}}¦{b: 1, <<: {b: 2}}¦{!!merge <<: {a: 1}}¦{<<: }¦{<<: ~}¦\
&a 1¦&a [1]¦&a {b: c}¦&a¦&a-b.c/d x¦&1 x¦&a &b x¦&a !!str 1¦!!str &a 1¦&a *a¦*a ¦&a\n¦{a: &b 1, c: *b}¦[&a x, *a]¦{*a : b}¦{&k a: b}¦{&a a: *a}¦&a [*a]¦&a {b: *a}¦&é x¦\
¦a\n  b¦a\n\n  b¦a\n # c\n  b¦a # c\n  b¦a\n  #b¦a\n  - b¦a\n  b: c¦\n  a¦\n  a\n  b¦\n\n  a¦# c\n  a¦\n  # c\n  a";

/// Keys.
const KEYS: &str = "a¦b¦c¦on¦y¦n¦yes¦no¦true¦null¦~¦1¦01¦0x10¦1e3¦1.0¦1.5¦.5¦0644¦1_000¦-1¦.inf¦.nan¦9223372036854775808¦18446744073709551615¦1e21¦1e20¦1e-5¦0.1¦123456789.5¦2001-01-01¦'a'¦\"a\"¦'1'¦\"true\"¦'<<'¦\"\"¦''¦a b¦a:b¦a#b¦- a¦-a¦? a¦?¦[a]¦{a: b}¦{{ a }}¦&k a¦&a a¦*a ¦!!str 1¦!!int '1'¦!!null ''¦!!binary YQ==¦! 1¦<<¦a.b/c¦a\tb¦é¦@a¦items¦kind¦1:30¦=¦apiVersion¦metadata¦long-long-long-key-with-many-letters";

/// What a change puts in.
const TOKENS: &str = " ¦  ¦\n¦\n\n¦\t¦:¦: ¦- ¦-¦,¦[¦]¦{¦}¦#¦ #¦'¦\"¦\\¦&¦&a ¦*¦*a¦!¦!!¦!!str ¦%¦@¦`¦?¦? ¦|¦>¦>-\n¦|+\n¦---\n¦\n---\n¦--- ¦---¦...\n¦\n...\n¦\r¦\r\n¦\u{feff}¦\u{85}¦\u{2028}¦\u{2029}¦\u{0}¦\u{1}¦\u{7f}¦\u{80}¦\u{e000}¦\u{fffe}¦\u{10ffff}¦<<: ¦null¦~¦é¦a¦0¦1¦: a\n¦%YAML 1.1\n¦%TAG ! a\n¦%FOO\n¦{{¦}}¦\n  ¦\n\t¦a: ¦- - ¦\n#¦---\n---\n";

fn pick<'a>(random: &mut StdRng, list: &'a str) -> &'a str {
    let all: Vec<&str> = list.split('¦').collect();
    all.choose(random).copied().unwrap_or_default()
}

/// Files, each by chance from the grammar or from the cases, many of them changed at random.
pub(super) fn files(seed: u64, count: usize, cases: &[Vec<u8>]) -> Vec<Vec<u8>> {
    let mut random = StdRng::seed_from_u64(seed);
    (0..count)
        .map(|_| {
            let mut file = match random.random_range(0..10) {
                0..2 => cases.choose(&mut random).cloned().unwrap_or_default(),
                2 => json(&mut random).into_bytes(),
                _ => yaml(&mut random).into_bytes(),
            };
            if random.random_bool(0.5) {
                for _ in 0..random.random_range(1..4) {
                    change(&mut random, &mut file);
                }
            }
            encoded(&mut random, file)
        })
        .collect()
}

fn encoded(random: &mut StdRng, file: Vec<u8>) -> Vec<u8> {
    let Ok(text) = std::str::from_utf8(&file) else {
        return file;
    };
    match random.random_range(0..60) {
        0 => text.replace('\n', "\r\n").into_bytes(),
        1 => text.replace('\n', "\r").into_bytes(),
        2 => format!("\u{feff}{text}").into_bytes(),
        3 => format!("\u{feff}{text}")
            .encode_utf16()
            .flat_map(u16::to_le_bytes)
            .collect(),
        4 => format!("\u{feff}{text}")
            .encode_utf16()
            .flat_map(u16::to_be_bytes)
            .collect(),
        5 => text.trim_end().as_bytes().to_vec(),
        _ => file,
    }
}

fn change(random: &mut StdRng, file: &mut Vec<u8>) {
    let at = random.random_range(0..=file.len());
    let end = (at + random.random_range(0..8)).min(file.len());
    match random.random_range(0..12) {
        0..6 => {
            file.splice(at..at, pick(random, TOKENS).bytes());
        }
        6 => {
            file.splice(at..at, pick(random, SCALARS).bytes());
        }
        7 | 8 => {
            file.drain(at..end);
        }
        9 => {
            let part = file[at..end].to_vec();
            let to = random.random_range(0..=file.len());
            file.splice(to..to, part);
        }
        10 => {
            let byte = random.random();
            if let Some(place) = file.get_mut(at) {
                *place = byte;
            }
        }
        _ => {
            let mut lines: Vec<&[u8]> = file.split_inclusive(|byte| *byte == b'\n').collect();
            if !lines.is_empty() {
                let (from, to) = (
                    random.random_range(0..lines.len()),
                    random.random_range(0..lines.len()),
                );
                if random.random_bool(0.5) {
                    lines.swap(from, to);
                } else {
                    lines.insert(to, lines[from]);
                }
                *file = lines.concat();
            }
        }
    }
}

fn yaml(random: &mut StdRng) -> String {
    let mut text = String::new();
    if random.random_bool(0.1) {
        text += [
            "---\n",
            "# c\n",
            "--- # c\n",
            "\n",
            " \n",
            "%YAML 1.1\n---\n",
            "...\n",
            "---\n---\n",
        ]
        .choose(random)
        .unwrap();
    }
    let documents = if random.random_bool(0.8) {
        1
    } else {
        random.random_range(2..4)
    };
    for number in 0..documents {
        if number > 0 {
            text += [
                "---\n",
                "--- \n",
                "---\t\n",
                "--- # c\n",
                "---\r\n",
                "...\n---\n",
                "---\n---\n",
                "---\n# c\n---\n",
                "---\nnull\n---\n",
                "... # c\n---\n",
                "----\n",
                "--- a\n",
                " ---\n",
                "...\n",
                "---#c\n",
                "--- |\n",
            ]
            .choose(random)
            .unwrap();
        }
        if random.random_bool(0.1) {
            text += "apiVersion: v1\nkind: List\nitems:\n- apiVersion: v1\n  kind: A\n  metadata: {name: a}\n  v:";
            value(random, &mut text, 4, 2);
            continue;
        }
        text += "apiVersion: v1\nkind: A\nmetadata: {name: a}\n";
        for _ in 0..random.random_range(1..4) {
            text += pick(random, KEYS);
            text.push(':');
            value(random, &mut text, 2, 3);
        }
    }
    text
}

/// What follows a colon or a dash, up to and with the end of the line.
fn value(random: &mut StdRng, text: &mut String, indent: usize, depth: usize) {
    let pad = " ".repeat(indent);
    if random.random_bool(0.06) {
        *text += [" &a", " !!map", " !!seq", " !!str", " &b", " !x"]
            .choose(random)
            .unwrap();
    }
    match random.random_range(0..if depth > 0 { 16 } else { 9 }) {
        0..7 => {
            text.push(' ');
            *text += &pick(random, SCALARS)
                .replace('\n', &format!("\n{}", " ".repeat(indent.saturating_sub(2))));
            if random.random_bool(0.1) {
                *text += " # c";
            }
            text.push('\n');
        }
        7..9 => block_scalar(random, text, &pad),
        9..13 => {
            text.push('\n');
            for _ in 0..random.random_range(1..4) {
                *text += &pad;
                *text += pick(random, KEYS);
                *text += [":", ":", ":", ":", ":", " :"].choose(random).unwrap();
                value(random, text, indent + 2, depth - 1);
                noise(random, text);
            }
        }
        _ => {
            text.push('\n');
            // A list may stand where its key stands.
            let pad = if random.random_bool(0.3) {
                " ".repeat(indent - 2)
            } else {
                pad
            };
            for _ in 0..random.random_range(1..4) {
                *text += &pad;
                text.push('-');
                if random.random_bool(0.2) {
                    *text += " a:";
                }
                value(random, text, indent + 2, depth - 1);
                noise(random, text);
            }
        }
    }
}

fn noise(random: &mut StdRng, text: &mut String) {
    if random.random_bool(0.05) {
        *text += [
            "# c\n",
            "      # c\n",
            "\n",
            "   \n",
            "\t\n",
            "  \t\n",
            "\t# c\n",
        ]
        .choose(random)
        .unwrap();
    }
}

fn block_scalar(random: &mut StdRng, text: &mut String, pad: &str) {
    *text += [
        " |", " >", " |-", " >-", " |+", " >+", " |2", " >1-", " |-2", " |0", " | # c", " |x",
        " >+1 # c", " |  ",
    ]
    .choose(random)
    .unwrap();
    text.push('\n');
    for _ in 0..random.random_range(0..5) {
        *text += [pad, pad, pad, pad, "", " "].choose(random).unwrap();
        *text += [
            "a",
            "b c",
            "  more",
            "",
            " ",
            "\t",
            "# no comment",
            "- a",
            "a: b",
            "---",
            "...",
            "'",
            "{{ a }}",
            "tail  ",
            "\ttab",
            "é",
        ]
        .choose(random)
        .unwrap();
        text.push('\n');
    }
}

fn json(random: &mut StdRng) -> String {
    let mut text = String::new();
    for _ in 0..random.random_range(1..4) {
        text +=
            "{\"apiVersion\": \"v1\", \"kind\": \"A\", \"metadata\": {\"name\": \"a\"}, \"v\": ";
        json_value(random, &mut text, 3);
        text += ["}", "}", "}", "}", ",}", "", "}]", ", \"v\": 2}", "}\n---"]
            .choose(random)
            .unwrap();
        text += [
            "\n",
            "\n",
            "",
            " ",
            "\n---\n",
            "\n\n",
            ",\n",
            "garbage",
            "\n# c\n",
            "\n---\napiVersion: v1\nkind: B\n",
            "\t",
            "\u{feff}",
        ]
        .choose(random)
        .unwrap();
    }
    text
}

fn json_value(random: &mut StdRng, text: &mut String, depth: usize) {
    match random.random_range(0..if depth > 0 { 10 } else { 8 }) {
        0..4 => {
            *text += [
                "1",
                "1.0",
                "1e3",
                "-0",
                "-0.0",
                "0.1",
                "1e400",
                "01",
                "0x1",
                "9223372036854775807",
                "9223372036854775808",
                "18446744073709551616",
                "-9223372036854775809",
                "1e21",
                "1E-7",
                "123456789012345678901234567890",
                "true",
                "null",
                "yes",
                "nil",
                "NaN",
                ".5",
                "1.",
                "+1",
                "1e5",
            ]
            .choose(random)
            .unwrap()
        }
        4..8 => {
            *text += [
                "\"a\"",
                "\"\"",
                "\"\\u00e9\"",
                "\"\\ud83d\\ude00\"",
                "\"\\ud83d\"",
                "\"\\/\"",
                "\"\\x41\"",
                "\"\\n\"",
                "\"a\nb\"",
                "\"a\tb\"",
                "'a'",
                "\"é\"",
                "\"\\u0000\"",
                "\"\u{2028}\"",
                "a",
                "\"---\"",
                "\"\\\"\"",
                "\"\u{7f}\"",
                "\"{{ a }}\"",
            ]
            .choose(random)
            .unwrap()
        }
        8 => {
            *text += "[";
            json_value(random, text, depth - 1);
            *text += [", ", ",", ",\n\t", " "].choose(random).unwrap();
            json_value(random, text, depth - 1);
            *text += ["]", "]", "]", ",]", "\t]"].choose(random).unwrap();
        }
        _ => {
            *text += "{\"a\": ";
            json_value(random, text, depth - 1);
            *text += [
                ", \"b\": ",
                ", \"a\": ",
                ",\"A\":",
                ", b: ",
                ",\n\t\"b\":\t",
            ]
            .choose(random)
            .unwrap();
            json_value(random, text, depth - 1);
            *text += ["}", "}", "}", ",}"].choose(random).unwrap();
        }
    }
}
