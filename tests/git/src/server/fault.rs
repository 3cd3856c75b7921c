//! What a server can be told to do wrong, around the true `git http-backend`.

use std::{convert::Infallible, time::Duration};

use axum::{
    body::{Body, Bytes},
    response::IntoResponse as _,
};
use futures::{Stream, StreamExt as _, stream};
use http::{Response, StatusCode, Uri, header};

/// How long a dripping server waits before each byte.
const DRIP: Duration = Duration::from_millis(50);

/// Which requests go wrong.
#[derive(Clone, Copy, Debug)]
pub enum Requests {
    /// All of them.
    All,
    /// Those for objects; the list of branches is answered well.
    Packs,
}

/// What a server does wrong.
#[derive(Clone, Debug)]
pub enum Fault {
    /// Answers with this status.
    Status(StatusCode),
    /// Accepts and never answers.
    Hang,
    /// Gives the true answer, a byte every 50 ms.
    Drip,
    /// Redirects to the same path and query below this prefix, such as `http://other:1`.
    Redirect(String),
    /// Answers well, with a page for people.
    Page,
}

impl Fault {
    /// The answer that stands for the true one.
    pub(super) async fn instead(&self, uri: &Uri) -> Option<Response<Body>> {
        match self {
            Self::Status(status) => Some(status.into_response()),
            Self::Hang => std::future::pending().await,
            Self::Drip => None,
            Self::Redirect(prefix) => {
                let target = [(header::LOCATION, format!("{prefix}{uri}"))];
                Some((StatusCode::FOUND, target).into_response())
            }
            Self::Page => {
                Some(([(header::CONTENT_TYPE, "text/html")], "<h1>Hello</h1>").into_response())
            }
        }
    }
}

/// The same content, byte by byte.
pub(super) fn drip(body: Body) -> Body {
    let bytes = body.into_data_stream().flat_map(|chunk| {
        let chunk = chunk.unwrap_or_default();
        single_bytes(chunk)
    });
    Body::from_stream(bytes)
}

fn single_bytes(chunk: Bytes) -> impl Stream<Item = Result<Bytes, Infallible>> {
    stream::iter(0..chunk.len()).then(move |place| {
        let byte = chunk.slice(place..=place);
        async move {
            tokio::time::sleep(DRIP).await;
            Ok(byte)
        }
    })
}
