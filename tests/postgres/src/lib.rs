//! A real PostgreSQL for tests and benchmarks: the server of the machine's packages, with its data in
//! a temporary folder and a port of its own on 127.0.0.1. It ends with the process that started it,
//! whichever way that ends.

mod server;

pub use server::{Error, Options, Postgres};
