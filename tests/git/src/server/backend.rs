//! `git http-backend`, run as a CGI program (RFC 3875); bodies are streamed both ways.

use std::{io, path::Path, process::Stdio};

use axum::body::Body;
use futures::StreamExt as _;
use http::{HeaderMap, HeaderName, HeaderValue, Request, Response, StatusCode, header};
use tokio::{
    io::{AsyncBufReadExt as _, AsyncRead, AsyncWriteExt as _, BufReader},
    process::Command,
};
use tokio_util::io::ReaderStream;

/// Answers a request for a repository below `folder`.
pub(super) async fn run(
    folder: &Path,
    user: Option<&str>,
    request: Request<Body>,
) -> io::Result<Response<Body>> {
    let mut command = std::process::Command::new("git");
    crate::repository::isolate(&mut command);
    let headers = request.headers();
    let text = |name: HeaderName| {
        let value = headers.get(name).and_then(|value| value.to_str().ok());
        value.unwrap_or_default()
    };
    command
        .arg("http-backend")
        .env("GIT_PROJECT_ROOT", folder)
        .env("GIT_HTTP_EXPORT_ALL", "1")
        .env("PATH_INFO", request.uri().path())
        .env("QUERY_STRING", request.uri().query().unwrap_or_default())
        .env("REQUEST_METHOD", request.method().as_str())
        .env("CONTENT_TYPE", text(header::CONTENT_TYPE))
        .env("CONTENT_LENGTH", text(header::CONTENT_LENGTH))
        .env("HTTP_CONTENT_ENCODING", text(header::CONTENT_ENCODING))
        .env(
            "GIT_PROTOCOL",
            text(HeaderName::from_static("git-protocol")),
        )
        .env("REMOTE_ADDR", "127.0.0.1")
        .env("REMOTE_USER", user.unwrap_or_default());
    let mut child = Command::from(command)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .kill_on_drop(true)
        .spawn()?;
    let mut input = child.stdin.take().expect("it is piped");
    let mut output = BufReader::new(child.stdout.take().expect("it is piped"));
    let mut sent = request.into_body().into_data_stream();
    // An own task, since the program may answer before it has read all.
    tokio::spawn(async move {
        while let Some(Ok(chunk)) = sent.next().await {
            if input.write_all(&chunk).await.is_err() {
                return;
            }
        }
    });
    let (status, headers) = head(&mut output).await?;
    // The child goes with the body: a client that hangs up ends the program.
    let body = ReaderStream::new(output).map(move |chunk| {
        let _alive = &child;
        chunk
    });
    let mut answer = Response::new(Body::from_stream(body));
    *answer.status_mut() = status;
    *answer.headers_mut() = headers;
    Ok(answer)
}

/// Reads what a CGI program says before the body.
async fn head(
    output: &mut BufReader<impl AsyncRead + Unpin>,
) -> io::Result<(StatusCode, HeaderMap)> {
    let wrong = |line: &str| io::Error::other(format!("not a header of CGI: {line:?}"));
    let mut status = StatusCode::OK;
    let mut headers = HeaderMap::new();
    loop {
        let mut line = String::new();
        if output.read_line(&mut line).await? == 0 {
            return Err(wrong("nothing"));
        }
        let line = line.trim_end();
        if line.is_empty() {
            return Ok((status, headers));
        }
        let (name, value) = line.split_once(": ").ok_or_else(|| wrong(line))?;
        if name.eq_ignore_ascii_case("status") {
            let code = value.get(..3).and_then(|code| code.parse().ok());
            status = code.ok_or_else(|| wrong(line))?;
        } else {
            let name = HeaderName::try_from(name).map_err(|_| wrong(line))?;
            let value = HeaderValue::try_from(value).map_err(|_| wrong(line))?;
            headers.append(name, value);
        }
    }
}
