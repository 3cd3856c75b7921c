//! libgit2's options, which hold for the whole process.
#![allow(unsafe_code)]

use std::sync::Once;

/// How long a server may be silent, in milliseconds: without it a fetch waits for ever.
const SILENCE: i32 = 30_000;

/// How long a connection may take, in milliseconds.
const CONNECT: i32 = 10_000;

/// Sets the options, once.
pub(super) fn initialise() {
    static ONCE: Once = Once::new();
    ONCE.call_once(|| {
        // SAFETY: these write plain numbers inside libgit2, which is not thread-safe against
        // itself; `Once` lets one thread do it, before this process opens its first connection.
        let result = unsafe {
            git2::opts::set_server_timeout_in_milliseconds(SILENCE)
                .and_then(|()| git2::opts::set_server_connect_timeout_in_milliseconds(CONNECT))
        };
        result.expect("libgit2 takes positive numbers");
    });
}
