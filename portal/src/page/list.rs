//! What is asked for of a list: words, a state, a page of it, as they stand in the query.

use url::form_urlencoded;

use super::{Call, state::State, text::count};

/// Rows of a page.
const ROWS: usize = 100;

/// What is asked for of a list.
pub(super) struct Query {
    path: &'static str,
    pub(super) search: String,
    pub(super) state: Option<State>,
    pub(super) group: String,
    page: usize,
}

/// How many were found, of how many.
pub(super) fn found(number: usize, total: usize, word: &str) -> String {
    let found = count(number, word);
    if number == total {
        found
    } else {
        format!("{found} of {total}")
    }
}

/// The links to the pages before and after one.
pub(super) struct Links {
    pub(super) previous: Option<String>,
    pub(super) next: Option<String>,
}

impl Query {
    pub(super) fn read(path: &'static str, call: &Call) -> Self {
        let text = |name| call.parameter(name).unwrap_or_default();
        Self {
            path,
            search: text("q"),
            state: State::parse(&text("state")),
            group: text("group"),
            page: text("page")
                .parse()
                .map_or(0, |page: usize| page.saturating_sub(1)),
        }
    }

    /// Whether what is in this state alone is asked for.
    pub(super) fn wants(&self, state: &State) -> bool {
        self.state == Some(*state)
    }

    /// Whether each word that is searched for is in one of the texts, which are not asked for when
    /// nothing is.
    pub(super) fn finds<T: IntoIterator<Item = String>>(&self, texts: impl FnOnce() -> T) -> bool {
        let search = self.search.to_lowercase();
        if search.trim().is_empty() {
            return true;
        }
        let texts = texts().into_iter().map(|text| text.to_lowercase());
        let texts: Vec<String> = texts.collect();
        let holds = |word: &str| texts.iter().any(|text| text.contains(word));
        search.split_whitespace().all(holds)
    }

    /// The rows of the page that is asked for, or of the last one, and the pages around it.
    pub(super) fn cut<T>(&self, found: Vec<T>) -> (Vec<T>, Links) {
        let pages = found.len().div_ceil(ROWS).max(1);
        let current = self.page.min(pages - 1);
        let link = |page: usize| (page < pages).then(|| self.link(page));
        let links = Links {
            previous: current.checked_sub(1).and_then(link),
            next: link(current + 1),
        };
        let rows = found.into_iter().skip(current * ROWS).take(ROWS);
        (rows.collect(), links)
    }

    /// The same list at another page.
    fn link(&self, page: usize) -> String {
        let mut query = form_urlencoded::Serializer::new(String::new());
        for (name, value) in [
            ("q", self.search.as_str()),
            ("state", self.state.map_or("", State::slug)),
            ("group", &self.group),
        ] {
            if !value.is_empty() {
                query.append_pair(name, value);
            }
        }
        if page > 0 {
            query.append_pair("page", &(page + 1).to_string());
        }
        match query.finish() {
            query if query.is_empty() => self.path.to_owned(),
            query => format!("{}?{query}", self.path),
        }
    }
}
