//! Devices.

use axum::extract::State;
use axum::http::StatusCode;
use axum::response::IntoResponse;
use serde::Deserialize;
use serde_json::{Value, json};

use super::answer::{Failure, Json, Path, Query};
use super::{Fleet, Who, run};
use crate::operations::{Edit, OperationError, Operations, ShownDevice};
use crate::store::MAX_PAGE;
use crate::store::rows::{DeviceId, ReleaseId, UpdateRow};
use crate::token::Caller;

/// A part of a list.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Part {
    #[serde(default)]
    filter: String,
    after: Option<u32>,
    rows: Option<u32>,
}

/// A release for a device.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Push {
    release: u32,
}

/// Rows of a page, if nobody says another number.
pub(super) const ROWS: u32 = 100;

pub(super) async fn list(
    State(fleet): Fleet,
    Who(caller): Who,
    Query(part): Query<Part>,
) -> Result<impl IntoResponse, Failure> {
    let rows = part.rows.unwrap_or(ROWS).clamp(1, MAX_PAGE);
    let after = part.after.map(DeviceId);
    let found = run(fleet, move |fleet| fleet.devices(&caller, &part.filter, after, rows)).await?;
    // A full page may have another one behind it.
    let next = found.last().filter(|_| found.len() as u32 == rows).map(|last| last.id);
    Ok(Json(json!({ "devices": found, "next": next })))
}

pub(super) async fn count(
    State(fleet): Fleet,
    Who(caller): Who,
    Query(part): Query<Part>,
) -> Result<impl IntoResponse, Failure> {
    let count = run(fleet, move |fleet| fleet.count(&caller, &part.filter)).await?;
    Ok(Json(json!({ "count": count })))
}

pub(super) async fn show(
    State(fleet): Fleet,
    Who(caller): Who,
    Path(id): Path<u32>,
) -> Result<impl IntoResponse, Failure> {
    let ShownDevice { row, update, events } =
        run(fleet, move |fleet| fleet.device(&caller, DeviceId(id))).await?;
    let events: Vec<Value> =
        events.iter().map(|(number, event)| json!({ "number": number, "event": event })).collect();
    Ok(Json(json!({ "device": row, "update": update.as_ref().map(shown), "events": events })))
}

/// An update, for programs.
pub(super) fn shown(row: &UpdateRow) -> Value {
    json!({
        "device": row.device,
        "rollout": row.rollout,
        "release": row.release,
        "stage": row.stage + 1,
        "state": row.update.state.name(),
        "why": row.update.why.name(),
        "since": row.update.since,
        "deadline": row.update.deadline,
        "attempt": row.update.attempt,
    })
}

pub(super) async fn edit(
    State(fleet): Fleet,
    Who(caller): Who,
    Path(id): Path<u32>,
    Json(edit): Json<Edit>,
) -> Result<impl IntoResponse, Failure> {
    run(fleet, move |fleet| fleet.edit(&caller, DeviceId(id), &edit)).await?;
    Ok(StatusCode::NO_CONTENT)
}

pub(super) async fn push(
    State(fleet): Fleet,
    Who(caller): Who,
    Path(id): Path<u32>,
    Json(push): Json<Push>,
) -> Result<impl IntoResponse, Failure> {
    run(fleet, move |fleet| fleet.push(&caller, DeviceId(id), ReleaseId(push.release))).await?;
    Ok(StatusCode::NO_CONTENT)
}

/// Does something with one device that says nothing.
async fn with(
    fleet: Fleet,
    caller: Caller,
    id: u32,
    work: fn(&Operations, &Caller, DeviceId) -> Result<(), OperationError>,
) -> Result<StatusCode, Failure> {
    run(fleet.0, move |fleet| work(fleet, &caller, DeviceId(id))).await?;
    Ok(StatusCode::NO_CONTENT)
}

pub(super) async fn again(
    fleet: Fleet,
    Who(caller): Who,
    Path(id): Path<u32>,
) -> Result<impl IntoResponse, Failure> {
    with(fleet, caller, id, Operations::again).await
}

pub(super) async fn cancel(
    fleet: Fleet,
    Who(caller): Who,
    Path(id): Path<u32>,
) -> Result<impl IntoResponse, Failure> {
    with(fleet, caller, id, Operations::cancel).await
}

pub(super) async fn remove(
    fleet: Fleet,
    Who(caller): Who,
    Path(id): Path<u32>,
) -> Result<impl IntoResponse, Failure> {
    with(fleet, caller, id, Operations::delete_device).await
}
