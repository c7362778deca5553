//! Tokens, and the audit log.

use axum::extract::State;
use axum::http::StatusCode;
use axum::response::IntoResponse;
use serde::Deserialize;
use serde_json::{Value, json};

use super::answer::{Failure, Json, Path, Query};
use super::devices::ROWS;
use super::{Fleet, Who, run};
use crate::store::MAX_PAGE;
use crate::token::{Scope, Scopes};

/// A token to make.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Make {
    name: String,
    scopes: Vec<Scope>,
    expires: Option<u64>,
}

/// A part of the audit log.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Part {
    after: Option<u64>,
    rows: Option<u32>,
}

pub(super) async fn list(State(fleet): Fleet, Who(caller): Who) -> Result<impl IntoResponse, Failure> {
    let rows = run(fleet, move |fleet| fleet.tokens(&caller)).await?;
    let shown = rows.iter().map(|row| {
        json!({
            "name": row.name,
            "scopes": Scopes::from_bits(row.scopes).to_string(),
            "at": row.at,
            "expires": row.expires,
            "revoked": row.revoked,
        })
    });
    Ok(Json(shown.collect::<Vec<Value>>()))
}

/// The text of the token is in this answer, and nowhere else.
pub(super) async fn make(
    State(fleet): Fleet,
    Who(caller): Who,
    Json(make): Json<Make>,
) -> Result<impl IntoResponse, Failure> {
    let Make { name, scopes, expires } = make;
    let text =
        run(fleet, move |fleet| fleet.make_token(&caller, &name, Scopes::of(&scopes), expires)).await?;
    Ok((StatusCode::CREATED, Json(json!({ "token": *text }))))
}

pub(super) async fn revoke(
    State(fleet): Fleet,
    Who(caller): Who,
    Path(name): Path<String>,
) -> Result<impl IntoResponse, Failure> {
    run(fleet, move |fleet| fleet.revoke_token(&caller, &name)).await?;
    Ok(StatusCode::NO_CONTENT)
}

pub(super) async fn audit(
    State(fleet): Fleet,
    Who(caller): Who,
    Query(part): Query<Part>,
) -> Result<impl IntoResponse, Failure> {
    let rows = part.rows.unwrap_or(ROWS).clamp(1, MAX_PAGE);
    let lines = run(fleet, move |fleet| fleet.audit_log(&caller, part.after, rows)).await?;
    let next = lines.last().filter(|_| lines.len() as u32 == rows).map(|last| last.number);
    Ok(Json(json!({ "lines": lines, "next": next })))
}
