//! What holds for libgit2 in the whole process.
#![allow(unsafe_code)]

use std::{
    cell::RefCell,
    sync::{Arc, Once},
};

use git2::{ConfigLevel, opts, transport};

use super::{exchange::Exchange, http, ssh};

thread_local! {
    /// The fetch that this thread is in: libgit2 gives a transport nothing but the address.
    static CURRENT: RefCell<Option<Arc<Exchange>>> = const { RefCell::new(None) };
}

/// Does something with libgit2, whose HTTP and SSH are this exchange meanwhile.
pub(super) fn with_exchange<T>(exchange: &Arc<Exchange>, act: impl FnOnce() -> T) -> T {
    struct Reset;
    impl Drop for Reset {
        fn drop(&mut self) {
            CURRENT.take();
        }
    }
    CURRENT.set(Some(Arc::clone(exchange)));
    let _reset = Reset;
    act()
}

/// Sets the options, once. Every use of libgit2 in this process comes after it.
pub(super) fn initialise() {
    static ONCE: Once = Once::new();
    ONCE.call_once(|| {
        // Trees are walked once and blobs read once.
        opts::enable_caching(false);
        // A person's or a machine's settings of `git` could lead an address elsewhere.
        for level in [
            ConfigLevel::ProgramData,
            ConfigLevel::System,
            ConfigLevel::XDG,
            ConfigLevel::Global,
        ] {
            // SAFETY: not thread-safe against libgit2's own reads; `Once` makes every caller wait,
            // and nothing in this process uses libgit2 before it has been here.
            unsafe { opts::set_search_path(level, "") }.expect("libgit2 knows these levels");
        }
        for scheme in ["http", "https", "ssh"] {
            // SAFETY: must not run beside the creation of a transport, which comes after it, as
            // above.
            let registered = unsafe {
                transport::register(scheme, move |remote| {
                    let exchange = CURRENT.with_borrow(Clone::clone);
                    let exchange = exchange.ok_or_else(|| {
                        git2::Error::from_str("libgit2 is for fetches alone in this process")
                    })?;
                    if scheme == "ssh" {
                        let transport = ssh::Transport(exchange);
                        return transport::Transport::smart(remote, false, transport);
                    }
                    transport::Transport::smart(remote, true, http::Transport::new(exchange)?)
                })
            };
            registered.expect("each scheme is registered once");
        }
    });
}
