//! What a scalar means. The rules are those of go-yaml v2, and of the JSON that `kubectl` makes of
//! its result.

use base64::{Engine as _, engine::general_purpose::STANDARD};
use serde_json::{Number, Value};

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

/// Resolves a scalar by its tag (without the prefix of YAML's own), or when it has none and is not
/// quoted, by its form.
pub(super) fn resolve(text: &str, plain: bool, tag: Option<&str>) -> Result<Scalar, String> {
    match tag {
        None if plain => form(text),
        None => Ok(Scalar::Text(text.to_owned())),
        Some("binary") => {
            let compact: String = text.chars().filter(|c| !c.is_ascii_whitespace()).collect();
            STANDARD
                .decode(compact)
                .map(|bytes| Scalar::Text(String::from_utf8_lossy(&bytes).into_owned()))
                .map_err(|_| "the value with the tag !!binary is not base64".to_owned())
        }
        Some(tag @ ("bool" | "int" | "float" | "null")) => {
            let scalar = form(text)?;
            match (tag, scalar) {
                ("bool", found @ Scalar::Bool(_))
                | ("int", found @ (Scalar::Int(_) | Scalar::Large(_)))
                | ("float", found @ Scalar::Float(_))
                | ("null", found @ Scalar::Null) => Ok(found),
                #[expect(clippy::cast_precision_loss, reason = "as Go does")]
                ("float", Scalar::Int(number)) => Ok(Scalar::Float(number as f64)),
                #[expect(clippy::cast_precision_loss, reason = "as Go does")]
                ("float", Scalar::Large(number)) => Ok(Scalar::Float(number as f64)),
                _ => Err(format!("the value with the tag !!{tag} is none")),
            }
        }
        Some(_) => Ok(Scalar::Text(text.to_owned())),
    }
}

/// What an unquoted scalar without a tag means.
fn form(text: &str) -> Result<Scalar, String> {
    Ok(match text {
        "" | "~" | "null" | "Null" | "NULL" => Scalar::Null,
        "y" | "Y" | "yes" | "Yes" | "YES" | "true" | "True" | "TRUE" | "on" | "On" | "ON" => {
            Scalar::Bool(true)
        }
        "n" | "N" | "no" | "No" | "NO" | "false" | "False" | "FALSE" | "off" | "Off" | "OFF" => {
            Scalar::Bool(false)
        }
        ".nan" | ".NaN" | ".NAN" | ".inf" | ".Inf" | ".INF" | "+.inf" | "+.Inf" | "+.INF"
        | "-.inf" | "-.Inf" | "-.INF" => {
            return Err(format!(
                "{text} is no number that JSON has: quote it, or write another"
            ));
        }
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
    })
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
    go_float(text).map(Scalar::Float)
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

/// A float as JSON: one without a fraction that fits is an integer, as when Go has written and read
/// it. Nothing for what JSON has no form for.
pub(super) fn float(float: f64) -> Option<Value> {
    const TOO_LARGE: f64 = 9_223_372_036_854_775_808.0;
    if float.fract() == 0.0 && (-TOO_LARGE..TOO_LARGE).contains(&float) {
        #[expect(clippy::cast_possible_truncation, reason = "it was compared above")]
        return Some(Value::from(float as i64));
    }
    Number::from_f64(float).map(Value::Number)
}

impl Scalar {
    /// The value.
    pub(super) fn value(self) -> Value {
        match self {
            Self::Null => Value::Null,
            Self::Bool(bool) => Value::Bool(bool),
            Self::Int(number) => Value::from(number),
            #[expect(clippy::cast_precision_loss, reason = "as Go does")]
            Self::Large(number) => float(number as f64).unwrap_or(Value::Null),
            Self::Float(number) => float(number).unwrap_or(Value::Null),
            Self::Text(text) => Value::String(text),
            Self::Merge => Value::String("<<".to_owned()),
        }
    }

    /// As the key of a map, which JSON has only as text.
    pub(super) fn key(self) -> Result<String, String> {
        Ok(match self {
            Self::Text(text) => text,
            Self::Bool(bool) => bool.to_string(),
            Self::Int(number) => number.to_string(),
            Self::Large(number) => number.to_string(),
            Self::Float(number) => go_general(number),
            Self::Merge => "<<".to_owned(),
            Self::Null => return Err("a key is missing, or null: write it, or quote it".to_owned()),
        })
    }
}

/// Go's `FormatFloat(number, 'g', -1, 32)`: the shortest digits of a 32-bit float, with an exponent
/// when it is below -4 or above 20.
fn go_general(number: f64) -> String {
    #[expect(clippy::cast_possible_truncation, reason = "as Go does")]
    let shortest = format!("{:e}", number as f32);
    let (digits, exponent) = shortest.split_once('e').unwrap_or((&shortest, "0"));
    let exponent: i32 = exponent.parse().unwrap_or_default();
    if (-4..21).contains(&exponent) {
        #[expect(clippy::cast_possible_truncation, reason = "as Go does")]
        return format!("{}", number as f32);
    }
    let sign = if exponent < 0 { '-' } else { '+' };
    format!("{digits}e{sign}{:02}", exponent.abs())
}
