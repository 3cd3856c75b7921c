//! How many requests are under way on a connection.

use std::{convert::Infallible, time::Duration};

use axum::{
    BoxError, Router,
    body::{Body, Bytes, HttpBody},
    http::Request,
    response::Response,
};
use http_body_util::BodyExt as _;
use tokio::{sync::watch, time::timeout};
use tower::{Service, ServiceExt as _};

/// A request under way, until the body of its answer is sent.
struct UnderWay(watch::Sender<usize>);

impl UnderWay {
    fn new(requests: watch::Sender<usize>) -> Self {
        requests.send_modify(|requests| *requests += 1);
        Self(requests)
    }
}

impl Drop for UnderWay {
    fn drop(&mut self) {
        self.0.send_modify(|requests| *requests -= 1);
    }
}

/// What answers as the router does, and the number of its requests that are under way.
pub(super) fn counted<B>(
    router: Router,
) -> (
    impl Service<Request<B>, Response = Response, Error = Infallible, Future: Send> + Clone,
    watch::Receiver<usize>,
)
where
    B: HttpBody<Data = Bytes, Error: Into<BoxError>> + Send + 'static,
{
    let (sender, receiver) = watch::channel(0);
    let service = tower::service_fn(move |request: Request<B>| {
        let under_way = UnderWay::new(sender.clone());
        let answer = router.clone().oneshot(request);
        async move {
            let answer: Response = answer.await?;
            Ok(answer.map(|body| {
                Body::new(body.map_frame(move |frame| {
                    let _ = &under_way;
                    frame
                }))
            }))
        }
    });
    (service, receiver)
}

/// Returns when there has been no request for so long.
pub(super) async fn ceases(mut requests: watch::Receiver<usize>, idle: Duration) {
    while requests.wait_for(|requests| *requests == 0).await.is_ok() {
        match timeout(idle, requests.changed()).await {
            Ok(Ok(())) => {}
            Ok(Err(_)) | Err(_) => return,
        }
    }
}
