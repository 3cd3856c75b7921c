//! What is logged while a test runs.

use std::{
    io,
    sync::{Arc, LazyLock, Mutex},
};

use tracing::{Dispatch, level_filters::LevelFilter, subscriber::DefaultGuard};

/// A subscriber that hears nothing and stays: when the last one goes, `tracing` turns all events off,
/// also those of a thread whose own has just come.
static KEPT: LazyLock<Dispatch> = LazyLock::new(|| {
    let silent = tracing_subscriber::fmt()
        .with_max_level(LevelFilter::DEBUG)
        .with_writer(io::sink)
        .finish();
    Dispatch::new(silent)
});

/// What was logged by the test's own thread, in which its portal runs too.
#[derive(Clone, Default)]
pub(super) struct Log(Arc<Mutex<Vec<u8>>>);

impl Log {
    /// Everything from now on, until the guard is dropped.
    pub(super) fn capture() -> (Self, DefaultGuard) {
        LazyLock::force(&KEPT);
        let log = Self::default();
        let writer = log.clone();
        let subscriber = tracing_subscriber::fmt()
            .with_max_level(LevelFilter::DEBUG)
            .with_ansi(false)
            .with_writer(move || writer.clone())
            .finish();
        (log, tracing::subscriber::set_default(subscriber))
    }

    pub(super) fn text(&self) -> String {
        String::from_utf8(self.0.lock().unwrap().clone()).unwrap()
    }
}

impl io::Write for Log {
    fn write(&mut self, text: &[u8]) -> io::Result<usize> {
        self.0.lock().unwrap().extend(text);
        Ok(text.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}
