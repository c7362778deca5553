//! Releases.

use std::sync::Arc;

use axum::body::{Body, BodyDataStream};
use axum::extract::State;
use axum::http::StatusCode;
use axum::response::IntoResponse;
use bytes::Bytes;
use http_body_util::BodyExt;
use serde::Deserialize;
use serde_json::json;

use super::answer::{Failure, Json, Path, Query};
use super::{Fleet, Who, run};
use crate::intake::Said;
use crate::operations::{OperationError, Uploaded};
use crate::store::rows::ReleaseId;

/// What an upload says in its address.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub(super) struct About {
    /// The name of the file: `package.zip`, `lamp.bin`.
    file: String,
    firmware: Option<String>,
    version: Option<String>,
    board: Option<String>,
    #[serde(default)]
    notes: String,
    support_until: Option<u64>,
    #[serde(default)]
    security: bool,
}

pub(super) async fn list(State(fleet): Fleet, Who(caller): Who) -> Result<impl IntoResponse, Failure> {
    Ok(Json(run(fleet, move |fleet| fleet.releases(&caller)).await?))
}

/// Takes in a package as one archive, or a bare image. The body is the file.
pub(super) async fn upload(
    State(fleet): Fleet,
    Who(caller): Who,
    Query(about): Query<About>,
    body: Body,
) -> Result<impl IntoResponse, Failure> {
    let mut upload = fleet.begin_upload(&caller)?;
    upload.file(&about.file).map_err(OperationError::Intake)?;
    let mut body: BodyDataStream = body.into_data_stream();
    while let Some(frame) = body.frame().await {
        let cut = |_| Failure::new(StatusCode::BAD_REQUEST, "cut", "the upload ended in the middle");
        let bytes: Bytes = frame.map_err(cut)?.into_data().unwrap_or_default();
        upload.write(&bytes).map_err(OperationError::Intake)?;
    }
    let said = Said {
        firmware: about.firmware,
        version: about.version,
        board: about.board,
        notes: about.notes,
        support_until: about.support_until,
        security: about.security,
    };
    let fleet = Arc::clone(&fleet);
    let uploaded = run(fleet, move |fleet| fleet.finish_upload(&caller, upload, &said)).await?;
    Ok(match uploaded {
        Uploaded::Release(row) => (StatusCode::CREATED, Json(json!({ "release": row }))),
        Uploaded::Asked(asked) => {
            let error = "the image does not say what it is: send it again with `firmware` and `version` in the address";
            let body = json!({ "error": error, "code": "asked", "asked": asked });
            (StatusCode::UNPROCESSABLE_ENTITY, Json(body))
        }
    })
}

pub(super) async fn withdraw(
    State(fleet): Fleet,
    Who(caller): Who,
    Path(id): Path<u32>,
) -> Result<impl IntoResponse, Failure> {
    run(fleet, move |fleet| fleet.withdraw(&caller, ReleaseId(id))).await?;
    Ok(StatusCode::NO_CONTENT)
}

pub(super) async fn remove(
    State(fleet): Fleet,
    Who(caller): Who,
    Path(id): Path<u32>,
) -> Result<impl IntoResponse, Failure> {
    run(fleet, move |fleet| fleet.delete_release(&caller, ReleaseId(id))).await?;
    Ok(StatusCode::NO_CONTENT)
}
