//! The disks, as their owner commands them.

use actix_web::http::StatusCode;
use actix_web::{HttpResponse, web};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::error::{ApiError, ErrorBody};
use super::footage::DiskStatus;
use super::house::{House, blocking};
use crate::config::{self, Tier};
use crate::people::Session;
use crate::pool::{self, Desk};

/// A folder that is to become a disk.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct NewDisk {
    /// Its absolute path on the box: an empty folder, or a disk of this store.
    #[schema(value_type = String)]
    path: std::path::PathBuf,
    /// The most that footage may take of it.
    max_bytes: Option<u64>,
    /// For old footage only.
    #[serde(default)]
    cold: bool,
    /// In the place of the disk that was at this path, whose footage is given up.
    #[serde(default)]
    replace: bool,
}

/// The disk that it became.
#[derive(Debug, Serialize, ToSchema)]
pub struct AddedDisk {
    /// 32 hex digits.
    id: String,
    /// What is to be known of it, where it is on the file system of the system or of the state folder.
    note: Option<String>,
}

/// How a disk is to be emptied.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct DrainRequest {
    /// Where the others have no room, the oldest footage may be deleted.
    #[serde(default)]
    let_go: bool,
}

/// How a disk is to be taken out.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct RetireRequest {
    /// The footage that is still on it is given up.
    #[serde(default)]
    forget: bool,
}

/// What went with a disk.
#[derive(Debug, Serialize, ToSchema)]
pub struct RetiredDisk {
    /// Segments that were given up.
    segments: u64,
    /// Their bytes.
    bytes: u64,
    /// Those of their bytes that were held; not there where no disk says so.
    held_bytes: Option<u64>,
    /// Why the disk itself does not say that it was retired, where it does not.
    unmarked: Option<String>,
}

/// `GET /api/v1/disks`
#[utoipa::path(get, path = "/api/v1/disks", tag = "disks", responses((status = 200, body = [DiskStatus]),
    (status = 409, body = ErrorBody, description = "The store is not open yet")))]
pub async fn list(house: web::Data<House>) -> Result<HttpResponse, ApiError> {
    let list = move || {
        let desk = desk(&house)?;
        Ok((desk.pool().list()?, desk.pool().forecast()))
    };
    let (disks, forecast) = blocking(list).await?;
    let row = |disk| DiskStatus::of(disk).foreseen(forecast.of_disk(disk));
    let rows: Vec<_> = disks.iter().map(row).collect();
    Ok(HttpResponse::Ok().json(rows))
}

/// `POST /api/v1/disks`
#[utoipa::path(post, path = "/api/v1/disks", tag = "disks", request_body = NewDisk, responses(
    (status = 200, body = AddedDisk), (status = 409, body = ErrorBody, description = "Why it is not taken in; where the recorder may not \
     change its configuration, with the command to type on the box")))]
pub async fn add(
    house: web::Data<House>,
    who: web::ReqData<Session>,
    new: web::Json<NewDisk>,
) -> Result<HttpResponse, ApiError> {
    let NewDisk {
        path,
        max_bytes,
        cold,
        replace,
    } = new.into_inner();
    if !path.is_absolute() {
        return Err(ApiError::bad_request(
            "The path of a disk begins with a slash.",
        ));
    }
    let tier = if cold { Tier::Cold } else { Tier::Hot };
    let wanted = config::Disk {
        path,
        max_bytes,
        tier,
    };
    let name = who.name.clone();
    let add = move || {
        let desk = desk(&house)?;
        desk.pool().list()?;
        let id = desk.add(&wanted, replace, &name)?.to_string();
        let shared = pool::shared(&wanted.path, house.keys().folder());
        let note = shared.map(|shared| pool::on_shared(&wanted.path, shared));
        Ok(AddedDisk { id, note })
    };
    Ok(HttpResponse::Ok().json(blocking(add).await?))
}

/// `POST /api/v1/disks/{disk}/drain`
#[utoipa::path(post, path = "/api/v1/disks/{disk}/drain", tag = "disks", request_body = DrainRequest,
    params(("disk" = String, Path, description = "32 hex digits")),
    responses((status = 204, description = "It is being emptied"),
        (status = 409, body = ErrorBody, description = "Why it is not, such as that the others have no room")))]
pub async fn drain(
    house: web::Data<House>,
    disk: web::Path<String>,
    request: web::Json<DrainRequest>,
) -> Result<HttpResponse, ApiError> {
    let drain = move || Ok(desk(&house)?.pool().drain(&disk, request.let_go)?);
    blocking(drain).await?;
    Ok(HttpResponse::NoContent().finish())
}

/// `POST /api/v1/disks/{disk}/keep`
#[utoipa::path(post, path = "/api/v1/disks/{disk}/keep", tag = "disks",
    params(("disk" = String, Path, description = "32 hex digits")),
    responses((status = 204, description = "It is not emptied any more, and used again"), (status = 409, body = ErrorBody)))]
pub async fn keep(
    house: web::Data<House>,
    disk: web::Path<String>,
) -> Result<HttpResponse, ApiError> {
    blocking(move || Ok(desk(&house)?.pool().keep(&disk)?)).await?;
    Ok(HttpResponse::NoContent().finish())
}

/// `POST /api/v1/disks/{disk}/retire`
#[utoipa::path(post, path = "/api/v1/disks/{disk}/retire", tag = "disks", request_body = RetireRequest,
    params(("disk" = String, Path, description = "32 hex digits")),
    responses((status = 200, body = RetiredDisk, description = "It is used no more, and out of the configuration"),
        (status = 409, body = ErrorBody, description = "Why it stays, such as that it still has footage; where the recorder may not \
            change its configuration, with the command to type on the box")))]
pub async fn retire(
    house: web::Data<House>,
    who: web::ReqData<Session>,
    disk: web::Path<String>,
    request: web::Json<RetireRequest>,
) -> Result<HttpResponse, ApiError> {
    let name = who.name.clone();
    let retire = move || Ok(desk(&house)?.retire(&disk, request.forget, &name)?);
    let retired = blocking(retire).await?;
    Ok(HttpResponse::Ok().json(RetiredDisk {
        segments: retired.given_up.segments,
        bytes: retired.given_up.bytes,
        held_bytes: retired.held_bytes,
        unmarked: retired.unmarked,
    }))
}

fn desk(house: &House) -> Result<&Desk, ApiError> {
    house
        .disks
        .as_ref()
        .ok_or_else(|| pool::Error::NotOpen.into())
}

impl From<pool::Error> for ApiError {
    fn from(error: pool::Error) -> Self {
        use crate::store::Error as S;
        use pool::Error as E;
        match error {
            E::Keys(error) => error.into(),
            E::Store(S::NoSuchDisk) => Self::not_found("disk"),
            E::Store(error @ (S::Io { .. } | S::Catalog(_))) => Self::internal(&error),
            // What is wrong is the folder or the configuration, which whoever is signed in may know all of.
            error => Self::new(StatusCode::CONFLICT, "disk", super::error::sentence(&error)),
        }
    }
}
