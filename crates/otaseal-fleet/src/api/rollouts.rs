//! Rollouts.

use axum::extract::State;
use axum::http::StatusCode;
use axum::response::IntoResponse;
use serde::Deserialize;
use serde_json::json;

use super::answer::{Failure, Json, Path, Query};
use super::devices::{ROWS, shown};
use super::{Fleet, Who, run};
use crate::operations::Command;
use crate::rollout::plan::Plan;
use crate::rollout::update::State as UpdateState;
use crate::store::MAX_PAGE;
use crate::store::rows::{DeviceId, ReleaseId, RolloutId};

/// A rollout to write down.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Draft {
    #[serde(default)]
    name: String,
    release: u32,
    #[serde(default)]
    plan: Plan,
}

/// A part of the updates.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Part {
    state: Option<String>,
    after: Option<u32>,
    rows: Option<u32>,
}

pub(super) async fn list(State(fleet): Fleet, Who(caller): Who) -> Result<impl IntoResponse, Failure> {
    Ok(Json(run(fleet, move |fleet| fleet.rollouts(&caller)).await?))
}

pub(super) async fn draft(
    State(fleet): Fleet,
    Who(caller): Who,
    Json(draft): Json<Draft>,
) -> Result<impl IntoResponse, Failure> {
    let Draft { name, release, plan } = draft;
    let id = run(fleet, move |fleet| fleet.draft(&caller, &name, ReleaseId(release), &plan)).await?;
    Ok((StatusCode::CREATED, Json(json!({ "id": id }))))
}

pub(super) async fn dry_run(
    State(fleet): Fleet,
    Who(caller): Who,
    Json(draft): Json<Draft>,
) -> Result<impl IntoResponse, Failure> {
    Ok(Json(run(fleet, move |fleet| fleet.dry_run(&caller, ReleaseId(draft.release), &draft.plan)).await?))
}

pub(super) async fn show(
    State(fleet): Fleet,
    Who(caller): Who,
    Path(id): Path<u32>,
) -> Result<impl IntoResponse, Failure> {
    Ok(Json(run(fleet, move |fleet| fleet.rollout(&caller, RolloutId(id))).await?))
}

pub(super) async fn updates(
    State(fleet): Fleet,
    Who(caller): Who,
    Path(id): Path<u32>,
    Query(part): Query<Part>,
) -> Result<impl IntoResponse, Failure> {
    let state = match part.state.as_deref() {
        None => None,
        Some(name) => Some(UpdateState::by_name(name).ok_or_else(|| {
            Failure::new(StatusCode::UNPROCESSABLE_ENTITY, "query", "there is no state of this name")
        })?),
    };
    let rows = part.rows.unwrap_or(ROWS).clamp(1, MAX_PAGE);
    let after = part.after.map(DeviceId);
    let found = run(fleet, move |fleet| fleet.updates(&caller, RolloutId(id), state, after, rows)).await?;
    let next = found.last().filter(|_| found.len() as u32 == rows).map(|last| last.device);
    Ok(Json(json!({ "updates": found.iter().map(shown).collect::<Vec<_>>(), "next": next })))
}

pub(super) async fn command(
    State(fleet): Fleet,
    Who(caller): Who,
    Path((id, command)): Path<(u32, String)>,
) -> Result<impl IntoResponse, Failure> {
    let id = RolloutId(id);
    let command = match command.as_str() {
        "start" => {
            run(fleet, move |fleet| fleet.start_rollout(&caller, id)).await?;
            return Ok(StatusCode::NO_CONTENT);
        }
        "pause" => Command::Pause,
        "resume" => Command::Resume,
        "go-on" => Command::GoOn,
        "abort" => Command::Abort,
        _ => return Err(Failure::new(StatusCode::NOT_FOUND, "no-route", "there is nothing at this address")),
    };
    run(fleet, move |fleet| fleet.command(&caller, id, command)).await?;
    Ok(StatusCode::NO_CONTENT)
}
