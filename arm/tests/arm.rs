//! ARM's types and rules as tables, and the client against real servers over TLS, good and bad.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

mod arm {
    mod flux;
    mod ids;
    mod list;
    mod params;
    mod rules;
    mod server;
    mod settings;
    mod status;
    mod tokens;
    mod wire;
}
