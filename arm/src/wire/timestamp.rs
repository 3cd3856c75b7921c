//! Times as ARM writes them: `2026-11-23T05:00:00+00:00`.

use std::{borrow::Cow, fmt, str::FromStr};

use serde::{Deserialize, Deserializer, Serialize, Serializer, de};
use time::{
    OffsetDateTime, PrimitiveDateTime, UtcOffset, format_description::well_known::Rfc3339,
    macros::datetime,
};

/// A moment, in UTC and whole seconds on the wire. One that is read lies within the years 1 to 9999.
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

/// A text is no moment.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("a date and time as in RFC 3339 is needed, within the years 1 to 9999 of UTC")]
pub struct NotATimestamp;

impl FromStr for Timestamp {
    type Err = NotATimestamp;

    /// Reads RFC 3339; without an offset, which .NET leaves out for an unspecified kind, as UTC.
    fn from_str(text: &str) -> Result<Self, Self::Err> {
        OffsetDateTime::parse(text, &Rfc3339)
            .or_else(|_| {
                PrimitiveDateTime::parse(&format!("{text}Z"), &Rfc3339)
                    .map(PrimitiveDateTime::assume_utc)
            })
            .ok()
            // The offset can carry it out of the years that there are, where `to_offset` panics.
            .and_then(|at| at.checked_to_offset(UtcOffset::UTC))
            .filter(|at| (1..=9999).contains(&at.year()))
            .map(Self)
            .ok_or(NotATimestamp)
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
