//! Times as ARM writes them: `2026-11-23T05:00:00+00:00`.

use std::{borrow::Cow, fmt, str::FromStr};

use serde::{Deserialize, Deserializer, Serialize, Serializer, de};
use time::{
    OffsetDateTime, PrimitiveDateTime, UtcOffset, format_description::well_known::Rfc3339,
    macros::datetime,
};

/// A moment, in UTC and whole seconds on the wire.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Timestamp(pub OffsetDateTime);

impl Timestamp {
    /// What `lastConfigApplied` holds before anything was applied: .NET's smallest date.
    pub const NEVER: Self = Self(datetime!(0001-01-01 00:00:00 UTC));

    /// This moment.
    pub fn now() -> Self {
        Self(OffsetDateTime::now_utc())
    }
}

/// `lastConfigApplied` before anything was applied.
impl Default for Timestamp {
    fn default() -> Self {
        Self::NEVER
    }
}

impl fmt::Display for Timestamp {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let t = self.0.to_offset(UtcOffset::UTC);
        let (year, month, day) = t.to_calendar_date();
        let (hour, minute, second) = t.to_hms();
        let month = u8::from(month);
        write!(
            f,
            "{year:04}-{month:02}-{day:02}T{hour:02}:{minute:02}:{second:02}+00:00"
        )
    }
}

impl FromStr for Timestamp {
    type Err = time::error::Parse;

    /// Reads RFC 3339; without an offset, which .NET leaves out for an unspecified kind, as UTC.
    fn from_str(text: &str) -> Result<Self, Self::Err> {
        OffsetDateTime::parse(text, &Rfc3339)
            .or_else(|error| {
                PrimitiveDateTime::parse(&format!("{text}Z"), &Rfc3339)
                    .map(PrimitiveDateTime::assume_utc)
                    .map_err(|_| error)
            })
            .map(Self)
    }
}

impl Serialize for Timestamp {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Timestamp {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        Cow::<'de, str>::deserialize(deserializer)?
            .parse()
            .map_err(de::Error::custom)
    }
}
