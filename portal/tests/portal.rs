//! The portal over real TLS: the ARM API, the data plane, tokens, limits and the store.
#![allow(clippy::unwrap_used, reason = "tests end at what they do not expect")]
#![allow(
    clippy::duplicate_mod,
    reason = "what the store answers is tested on both engines"
)]

/// Where a portal keeps what it has.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Engine {
    Sqlite,
    Postgres,
}

mod portal {
    const ENGINE: crate::Engine = crate::Engine::Sqlite;

    mod access;
    mod agent;
    mod arm;
    mod audit;
    mod audited;
    mod backup;
    mod clusters;
    mod conditions;
    mod data_plane;
    mod durability;
    mod ends;
    mod enrolment;
    mod flux;
    mod garbage;
    mod limits;
    mod log;
    mod login;
    mod news;
    mod openapi;
    mod page;
    mod roles;
    mod sealed;
    mod secrecy;
    mod server;
    mod sql;
    mod start;
    mod surroundings;
    mod throttling;
    mod tls;
    mod tokens;
    mod vault;
    mod versions;
}

#[path = "portal"]
mod on_postgres {
    const ENGINE: crate::Engine = crate::Engine::Postgres;

    mod access;
    mod arm;
    mod audit;
    mod audited;
    mod backup;
    mod clusters;
    mod conditions;
    mod data_plane;
    mod durability;
    mod ends;
    mod enrolment;
    mod flux;
    mod log;
    mod login;
    mod news;
    mod outage;
    mod page;
    mod roles;
    mod sealed;
    mod secrecy;
    mod server;
    mod several;
    mod sql;
    mod start;
    mod surroundings;
    mod tokens;
    mod versions;
}
