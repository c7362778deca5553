//! The keys that are trusted.

use axum::extract::State;
use axum::http::StatusCode;
use axum::response::IntoResponse;
use serde::Deserialize;
use serde_json::json;

use super::answer::{Failure, Json};
use super::{Fleet, Who, run};
use crate::trust::Faults;

/// A key to trust.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub(super) struct Add {
    key: String,
    #[serde(default)]
    accept_faults: bool,
}

/// A key to trust no longer.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Remove {
    id: String,
    #[serde(default)]
    anyway: bool,
}

pub(super) async fn list(State(fleet): Fleet, Who(caller): Who) -> Result<impl IntoResponse, Failure> {
    let keys = run(fleet, move |fleet| fleet.keys(&caller)).await?;
    Ok(Json(keys.iter().map(ToString::to_string).collect::<Vec<_>>()))
}

pub(super) async fn add(
    State(fleet): Fleet,
    Who(caller): Who,
    Json(add): Json<Add>,
) -> Result<impl IntoResponse, Failure> {
    let faults = if add.accept_faults { Faults::Accept } else { Faults::Refuse };
    let id = run(fleet, move |fleet| fleet.add_key(&caller, add.key.as_bytes(), faults)).await?;
    Ok((StatusCode::CREATED, Json(json!({ "id": id.to_string() }))))
}

pub(super) async fn remove(
    State(fleet): Fleet,
    Who(caller): Who,
    Json(remove): Json<Remove>,
) -> Result<impl IntoResponse, Failure> {
    run(fleet, move |fleet| fleet.remove_key(&caller, &remove.id, remove.anyway)).await?;
    Ok(StatusCode::NO_CONTENT)
}
