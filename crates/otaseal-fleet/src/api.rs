//! The API under `/api/v1`: JSON over the operations.
//!
//! Every request needs a token, except that for the health. An error is `{"error": …, "code": …}`. A stranger's text is a
//! JSON string, and never HTML.

mod answer;
mod devices;
mod keys;
mod releases;
mod rollouts;
mod tokens;

use std::sync::Arc;

use axum::Router;
use axum::extract::{DefaultBodyLimit, FromRequestParts, State};
use axum::http::header::{AUTHORIZATION, WWW_AUTHENTICATE};
use axum::http::request::Parts;
use axum::http::{HeaderValue, StatusCode};
use axum::middleware::{self, Next};
use axum::response::{IntoResponse, Response};
use axum::routing::{delete, get, post};

use crate::operations::Operations;
use crate::token::Caller;
use answer::{Failure, Json};

/// Largest body in bytes, of every request but an upload.
const BODY: usize = 256 * 1024;

type Fleet = State<Arc<Operations>>;

/// The routes.
pub fn router(operations: Arc<Operations>) -> Router {
    let api = Router::new()
        .route("/releases", get(releases::list))
        .route("/releases/{id}", delete(releases::remove))
        .route("/releases/{id}/withdraw", post(releases::withdraw))
        .route("/devices", get(devices::list))
        .route("/devices/count", get(devices::count))
        .route("/devices/{id}", get(devices::show).patch(devices::edit).delete(devices::remove))
        .route("/devices/{id}/push", post(devices::push))
        .route("/devices/{id}/again", post(devices::again))
        .route("/devices/{id}/cancel", post(devices::cancel))
        .route("/rollouts", get(rollouts::list).post(rollouts::draft))
        .route("/rollouts/dry-run", post(rollouts::dry_run))
        .route("/rollouts/{id}", get(rollouts::show))
        .route("/rollouts/{id}/updates", get(rollouts::updates))
        .route("/rollouts/{id}/{command}", post(rollouts::command))
        .route("/keys", get(keys::list).post(keys::add))
        .route("/keys/remove", post(keys::remove))
        .route("/tokens", get(tokens::list).post(tokens::make))
        .route("/tokens/{name}", delete(tokens::revoke))
        .route("/audit", get(tokens::audit))
        .layer(DefaultBodyLimit::max(BODY));
    // The intake counts the bytes of an upload itself, and its error says the limit.
    let upload = Router::new().route("/releases", post(releases::upload)).layer(DefaultBodyLimit::disable());
    Router::new()
        .nest("/api/v1", api.merge(upload))
        .route("/api/v1/health", get(health))
        .fallback(|| async {
            Failure::new(StatusCode::NOT_FOUND, "no-route", "there is nothing at this address")
        })
        .method_not_allowed_fallback(|| async {
            Failure::new(StatusCode::METHOD_NOT_ALLOWED, "method", "this address knows other methods")
        })
        .layer(middleware::from_fn(headers))
        .with_state(operations)
}

/// What every answer says to a browser.
async fn headers(request: axum::extract::Request, next: Next) -> Response {
    let mut answer = next.run(request).await;
    for (name, value) in [
        ("x-content-type-options", "nosniff"),
        ("cache-control", "no-store"),
        ("content-security-policy", "default-src 'none'; frame-ancestors 'none'"),
    ] {
        answer.headers_mut().insert(name, HeaderValue::from_static(value));
    }
    answer
}

/// Whether the fleet works. Without a token it says no more than that.
async fn health(State(operations): Fleet, caller: Result<Who, Failure>) -> Response {
    let faults = operations.faults();
    let status = if faults.is_empty() { StatusCode::OK } else { StatusCode::SERVICE_UNAVAILABLE };
    let state = if faults.is_empty() { "good" } else { "bad" };
    let body = match caller {
        Ok(_) => serde_json::json!({ "health": state, "faults": faults }),
        Err(_) => serde_json::json!({ "health": state }),
    };
    (status, Json(body)).into_response()
}

/// Who asks. A request without a good token gets 401.
pub(crate) struct Who(pub(crate) Caller);

impl FromRequestParts<Arc<Operations>> for Who {
    type Rejection = Failure;

    async fn from_request_parts(parts: &mut Parts, operations: &Arc<Operations>) -> Result<Self, Failure> {
        let header = parts.headers.get(AUTHORIZATION).and_then(|value| value.to_str().ok());
        let token = header.and_then(|value| {
            let (scheme, token) = value.split_once(' ')?;
            scheme.eq_ignore_ascii_case("bearer").then(|| token.trim())
        });
        let caller = token.map(|token| operations.caller(token).map_err(|refused| refused.to_string()));
        match caller {
            Some(Ok(caller)) => Ok(Self(caller)),
            Some(Err(why)) => Err(unauthorized(&why)),
            None => Err(unauthorized("send a token: `Authorization: Bearer …`")),
        }
    }
}

fn unauthorized(why: &str) -> Failure {
    let challenge = HeaderValue::from_static("Bearer realm=\"otaseal-fleet\"");
    Failure::new(StatusCode::UNAUTHORIZED, "token", why).with(WWW_AUTHENTICATE, challenge)
}

/// Runs an operation where it may wait: for the lock, for the disk.
async fn run<T: Send + 'static>(
    operations: Arc<Operations>,
    work: impl FnOnce(&Operations) -> Result<T, crate::operations::OperationError> + Send + 'static,
) -> Result<T, Failure> {
    match tokio::task::spawn_blocking(move || work(&operations)).await {
        Ok(result) => Ok(result?),
        Err(_) => Err(Failure::new(StatusCode::INTERNAL_SERVER_ERROR, "panic", "the service has a fault")),
    }
}

#[cfg(test)]
mod tests;
