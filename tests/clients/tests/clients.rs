//! ARM's own clients, unchanged, do with the portal what they do with Azure.
#![allow(clippy::unwrap_used, reason = "tests end at what they do not expect")]

mod clients {
    mod az;
    mod page;
    mod schemathesis;
    mod sdk;
}
