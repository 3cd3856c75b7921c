//! What a scalar means. The rules are those of go-yaml v2, and of the JSON that `kubectl` makes of
//! its result.

use base64::{
    Engine as _, alphabet,
    engine::general_purpose::{GeneralPurpose, GeneralPurposeConfig},
};
use serde_json::{Number, Value};

/// As Go's: what the last character says beyond the last byte is left unread.
const BASE64: GeneralPurpose = GeneralPurpose::new(
    &alphabet::STANDARD,
    GeneralPurposeConfig::new().with_decode_allow_trailing_bits(true),
);

/// What begins a tag of YAML's own.
const YAML: &str = "tag:yaml.org,2002:";

/// A scalar, resolved.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Scalar {
    Null,
    Bool(bool),
    Int(i64),
    /// Beyond `i64`.
    Large(u64),
    Float(f64),
    Text(String),
    /// The key `<<`, unquoted.
    Merge,
}

/// Resolves a scalar by its tag, or when it has none and is not quoted, by its form.
pub(super) fn resolve(text: &str, plain: bool, tag: Option<&str>) -> Result<Scalar, String> {
    let tag = match tag {
        None if plain => return Ok(form(text)),
        // This one takes the place of quotes, and does not: a merge is a merge.
        Some("!") if text == "<<" => return Ok(Scalar::Merge),
        None | Some("!") => return Ok(Scalar::Text(text.to_owned())),
        Some(tag) => tag.strip_prefix(YAML).unwrap_or(""),
    };
    let wrong = || Err(format!("the value with the tag !!{tag} is none"));
    match (tag, form(text)) {
        ("binary", _) => {
            let compact: String = text.chars().filter(|c| !matches!(c, '\r' | '\n')).collect();
            match BASE64.decode(compact) {
                Ok(bytes) => Ok(Scalar::Text(lossy(&bytes))),
                Err(_) => Err("the value with the tag !!binary is not base64".to_owned()),
            }
        }
        ("merge", Scalar::Merge) => Ok(Scalar::Merge),
        ("bool", found @ Scalar::Bool(_))
        | ("int", found @ (Scalar::Int(_) | Scalar::Large(_)))
        | ("float", found @ Scalar::Float(_))
        | ("null", found @ Scalar::Null) => Ok(found),
        #[expect(clippy::cast_precision_loss, reason = "as Go does")]
        ("float", Scalar::Int(number)) => Ok(Scalar::Float(number as f64)),
        ("timestamp", _) if is_timestamp(text) => Ok(Scalar::Text(text.to_owned())),
        ("bool" | "int" | "float" | "null" | "timestamp", _) => wrong(),
        _ => Ok(Scalar::Text(text.to_owned())),
    }
}

/// Go writes a replacement for each byte that is of no character, Rust for each run of them.
fn lossy(bytes: &[u8]) -> String {
    let mut text = String::new();
    for chunk in bytes.utf8_chunks() {
        text.push_str(chunk.valid());
        text.extend(chunk.invalid().iter().map(|_| char::REPLACEMENT_CHARACTER));
    }
    text
}

/// A date, or a date and a time, as YAML 1.1 writes them.
fn is_timestamp(text: &str) -> bool {
    let (date, time) = match text.find(['T', 't', ' ']) {
        Some(at) => (&text[..at], Some(&text[at..])),
        None => (text, None),
    };
    let number = |text: &str, from: u32, to: u32| {
        (1..=2).contains(&text.len())
            && text.bytes().all(|byte| byte.is_ascii_digit())
            && text
                .parse()
                .is_ok_and(|number: u32| (from..=to).contains(&number))
    };
    let is_date = match date.split('-').collect::<Vec<_>>()[..] {
        [year, month, day] => {
            year.len() == 4
                && year.bytes().all(|byte| byte.is_ascii_digit())
                && number(month, 1, 12)
                && number(day, 1, days(year, month))
        }
        _ => false,
    };
    let is_clock = |text: &str| {
        let (text, fraction) = text.split_once(['.', ',']).unwrap_or((text, "0"));
        let is_fraction =
            !fraction.is_empty() && fraction.bytes().all(|byte| byte.is_ascii_digit());
        match text.split(':').collect::<Vec<_>>()[..] {
            [hour, minute, second] => {
                is_fraction && number(hour, 0, 23) && number(minute, 0, 59) && number(second, 0, 59)
            }
            _ => false,
        }
    };
    let is_time = |time: &str| match time.strip_prefix(' ') {
        Some(time) => is_clock(time),
        None => match time[1..].strip_suffix('Z') {
            Some(time) => is_clock(time),
            None => time[1..]
                .split_once(['+', '-'])
                .is_some_and(|(time, zone)| {
                    let zone = zone.split_once(':');
                    let two = |text: &str, to| text.len() == 2 && number(text, 0, to);
                    is_clock(time)
                        && zone.is_some_and(|(hours, minutes)| two(hours, 24) && two(minutes, 60))
                }),
        },
    };
    is_date && time.is_none_or(is_time)
}

/// How many days a month has.
fn days(year: &str, month: &str) -> u32 {
    let year: u32 = year.parse().unwrap_or(0);
    match month.parse::<u32>() {
        Ok(2)
            if year.is_multiple_of(4)
                && (!year.is_multiple_of(100) || year.is_multiple_of(400)) =>
        {
            29
        }
        Ok(2) => 28,
        Ok(4 | 6 | 9 | 11) => 30,
        _ => 31,
    }
}

/// What an unquoted scalar without a tag means.
fn form(text: &str) -> Scalar {
    match text {
        "" | "~" | "null" | "Null" | "NULL" => Scalar::Null,
        "y" | "Y" | "yes" | "Yes" | "YES" | "true" | "True" | "TRUE" | "on" | "On" | "ON" => {
            Scalar::Bool(true)
        }
        "n" | "N" | "no" | "No" | "NO" | "false" | "False" | "FALSE" | "off" | "Off" | "OFF" => {
            Scalar::Bool(false)
        }
        ".nan" | ".NaN" | ".NAN" => Scalar::Float(f64::NAN),
        ".inf" | ".Inf" | ".INF" | "+.inf" | "+.Inf" | "+.INF" => Scalar::Float(f64::INFINITY),
        "-.inf" | "-.Inf" | "-.INF" => Scalar::Float(f64::NEG_INFINITY),
        "<<" => Scalar::Merge,
        _ => match text.as_bytes()[0] {
            b'.' => match go_float(text) {
                Some(float) => Scalar::Float(float),
                None => Scalar::Text(text.to_owned()),
            },
            b'0'..=b'9' | b'+' | b'-' => {
                number(&text.replace('_', "")).unwrap_or_else(|| Scalar::Text(text.to_owned()))
            }
            _ => Scalar::Text(text.to_owned()),
        },
    }
}

fn number(text: &str) -> Option<Scalar> {
    let (negative, digits) = match text.as_bytes().first()? {
        b'-' => (true, &text[1..]),
        b'+' => (false, &text[1..]),
        _ => (false, text),
    };
    if let Some(magnitude) = integer(digits) {
        let signed = i128::from(magnitude) * if negative { -1 } else { 1 };
        if let Ok(number) = i64::try_from(signed) {
            return Some(Scalar::Int(number));
        }
        // Go reads an unsigned number only without a sign.
        if digits.len() == text.len() {
            return Some(Scalar::Large(magnitude));
        }
    }
    if let Some(float) = go_float(text) {
        return Some(Scalar::Float(float));
    }
    // go-yaml reads what follows 0b once more, and there takes a sign.
    let binary = text.strip_prefix("0b")?;
    i64::from_str_radix(binary, 2).ok().map(Scalar::Int)
}

/// Go's `ParseUint` with base 0: the base is in the prefix.
fn integer(digits: &str) -> Option<u64> {
    let parse = |digits: &str, base| {
        // Rust takes a sign here, Go does not.
        let first = digits.as_bytes().first()?;
        if matches!(first, b'+' | b'-') {
            return None;
        }
        u64::from_str_radix(digits, base).ok()
    };
    match digits.as_bytes() {
        [b'0', b'x' | b'X', ..] => parse(&digits[2..], 16),
        [b'0', b'o' | b'O', ..] => parse(&digits[2..], 8),
        [b'0', b'b' | b'B', ..] => parse(&digits[2..], 2),
        [b'0', _, ..] => parse(&digits[1..], 8),
        _ => parse(digits, 10),
    }
}

/// A decimal number of YAML's form that is finite: `[-+]?(\.\d+|\d+(\.\d*)?)([eE][-+]?\d+)?`.
fn go_float(text: &str) -> Option<f64> {
    let unsigned = text.strip_prefix(['-', '+']).unwrap_or(text);
    let (mantissa, exponent) = match unsigned.find(['e', 'E']) {
        Some(at) => (&unsigned[..at], Some(&unsigned[at + 1..])),
        None => (unsigned, None),
    };
    let all_digits =
        |text: &str| !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    let good = match mantissa.split_once('.') {
        Some(("", fraction)) => all_digits(fraction),
        Some((whole, fraction)) => {
            all_digits(whole) && (fraction.is_empty() || all_digits(fraction))
        }
        None => all_digits(mantissa),
    };
    let good_exponent = exponent
        .is_none_or(|exponent| all_digits(exponent.strip_prefix(['-', '+']).unwrap_or(exponent)));
    if !good || !good_exponent {
        return None;
    }
    text.parse::<f64>().ok().filter(|float| float.is_finite())
}

/// A float as JSON: Go writes its shortest digits, and reads them as an integer where they are one
/// that fits. Nothing for what JSON has no form for.
pub(super) fn float(float: f64) -> Option<Value> {
    const LONGEST: f64 = 1e21;
    if float.fract() == 0.0
        && float.abs() < LONGEST
        && let Ok(integer) = float.to_string().parse::<i64>()
    {
        return Some(Value::from(integer));
    }
    Number::from_f64(float).map(Value::Number)
}

impl Scalar {
    /// The value, or why JSON has none.
    pub(super) fn value(self) -> Result<Value, String> {
        let number = |number: f64| {
            float(number).ok_or_else(|| {
                format!(
                    "{} is no number that JSON has: quote it, or write another",
                    go_general(number)
                )
            })
        };
        Ok(match self {
            Self::Null => Value::Null,
            Self::Bool(bool) => Value::Bool(bool),
            Self::Int(number) => Value::from(number),
            #[expect(clippy::cast_precision_loss, reason = "as Go does")]
            Self::Large(large) => number(large as f64)?,
            Self::Float(float) => number(float)?,
            Self::Text(text) => Value::String(text),
            Self::Merge => Value::String("<<".to_owned()),
        })
    }

    /// As the key of a map, which JSON has only as text.
    pub(super) fn key(self) -> Result<String, String> {
        Ok(match self {
            Self::Text(text) => text,
            Self::Bool(bool) => bool.to_string(),
            Self::Int(number) => number.to_string(),
            Self::Large(number) => {
                return Err(format!(
                    "the key {number} is a number beyond 64 bits with a sign: quote it"
                ));
            }
            Self::Float(number) => go_general(number),
            Self::Merge => "<<".to_owned(),
            Self::Null => return Err("a key is missing, or null: write it, or quote it".to_owned()),
        })
    }
}

/// Go's `FormatFloat(number, 'g', -1, 32)`: the shortest digits of a 32-bit float, with an exponent
/// when it is below -4 or above 5; what is no number as YAML writes it.
fn go_general(number: f64) -> String {
    #[expect(clippy::cast_possible_truncation, reason = "as Go does")]
    let number = number as f32;
    if number.is_nan() {
        return ".nan".to_owned();
    }
    if number.is_infinite() {
        return if number > 0.0 { ".inf" } else { "-.inf" }.to_owned();
    }
    let shortest = format!("{number:e}");
    let (digits, exponent) = shortest.split_once('e').unwrap_or((&shortest, "0"));
    let exponent: i32 = exponent.parse().unwrap_or_default();
    if (-4..6).contains(&exponent) {
        return number.to_string();
    }
    let sign = if exponent < 0 { '-' } else { '+' };
    format!("{digits}e{sign}{:02}", exponent.abs())
}
