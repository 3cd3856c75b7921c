//! What this process logs, as far as a test asks: the lines that hold certain words. They are
//! looked for as the lines are written, because a whole run's lines would fill the memory.

use std::{
    io,
    sync::{Arc, Mutex, Once, PoisonError},
};

use tracing_subscriber::EnvFilter;

/// All that Gitmoor can say, and what its libraries say when someone looks for an error.
const LEVELS: &str =
    "debug,gitmoor_agent=trace,gitmoor_arm=trace,gitmoor_operator=trace,gitmoor_portal=trace";

static WATCHES: Mutex<Vec<Watch>> = Mutex::new(Vec::new());

/// The lines with certain words, from the moment that they were asked for.
#[derive(Clone)]
pub struct Watch {
    words: Arc<[String]>,
    lines: Arc<Mutex<Vec<String>>>,
}

/// Looks for words in all that this process logs from now on.
pub fn watch(words: &[String]) -> Watch {
    static SUBSCRIBER: Once = Once::new();
    SUBSCRIBER.call_once(|| {
        let _ = tracing_subscriber::fmt()
            .with_ansi(false)
            .with_env_filter(EnvFilter::new(LEVELS))
            .with_writer(|| Lines)
            .try_init();
    });
    let watch = Watch {
        words: words.into(),
        lines: Arc::default(),
    };
    let mut watches = WATCHES.lock().unwrap_or_else(PoisonError::into_inner);
    watches.push(watch.clone());
    watch
}

impl Watch {
    /// The lines so far.
    pub fn lines(&self) -> Vec<String> {
        let lines = self.lines.lock().unwrap_or_else(PoisonError::into_inner);
        lines.clone()
    }

    fn see(&self, line: &str) {
        if self.words.iter().any(|word| line.contains(word)) {
            let mut lines = self.lines.lock().unwrap_or_else(PoisonError::into_inner);
            lines.push(line.to_owned());
        }
    }
}

/// Takes each line in one piece, as the subscriber writes it.
struct Lines;

impl io::Write for Lines {
    fn write(&mut self, line: &[u8]) -> io::Result<usize> {
        let text = String::from_utf8_lossy(line);
        let watches = WATCHES.lock().unwrap_or_else(PoisonError::into_inner);
        for watch in watches.iter() {
            watch.see(&text);
        }
        Ok(line.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}
