//! The portal over real TLS: the ARM API, the data plane, tokens, limits and the store.
#![allow(clippy::unwrap_used, reason = "tests end at what they do not expect")]

mod portal {
    mod agent;
    mod arm;
    mod clusters;
    mod conditions;
    mod data_plane;
    mod durability;
    mod limits;
    mod login;
    mod secrecy;
    mod server;
    mod surroundings;
    mod throttling;
    mod tls;
    mod tokens;
    mod versions;
}
