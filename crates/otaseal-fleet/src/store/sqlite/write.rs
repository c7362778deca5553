//! Writes rows. The statements are prepared once for each connection.
//!
//! A write changes as few pages as it can: SQLite writes each index whose columns a statement names, so rows that keep what
//! an index has are written by a statement that does not name it.

use otaseal_delivery::device::plain_board;
use otaseal_delivery::offer::order_key;
use rusqlite::{Connection, OptionalExtension, ToSql, params};

use super::row;
use super::row::{
    Cells, device_columns, family_code, list, mac_number, rollout_code, signed, update_columns,
};
use crate::filter::fold;
use crate::store::rows::*;
use crate::store::{StoreError, Write};

/// How many of the last events of a device are compared with one that is written. A batch that is applied twice has fewer
/// events of one device.
const RECENT: u32 = 32;

/// Makes a change, inside a transaction.
pub(super) fn write(connection: &Connection, write: &Write) -> Result<(), StoreError> {
    match write {
        Write::Device(device) => put_device(connection, device),
        Write::Said(device) => said(connection, device),
        Write::Edited(device) => edited(connection, device),
        Write::Standing(device, standing) => {
            let sql = "UPDATE devices SET standing = ?2 WHERE id = ?1";
            execute(connection, sql, params![device.0, *standing as u8])
        }
        Write::Runs(device, release) => {
            let sql = "UPDATE devices SET running = ?2 WHERE id = ?1";
            execute(connection, sql, params![device.0, release.0])
        }
        Write::DeleteDevice(device) => {
            for sql in [
                "DELETE FROM devices WHERE id = ?1",
                "DELETE FROM contacts WHERE device = ?1",
                "DELETE FROM finds WHERE device = ?1",
                "DELETE FROM tags WHERE device = ?1",
                "DELETE FROM updates WHERE device = ?1",
                "DELETE FROM past_updates WHERE device = ?1",
            ] {
                execute(connection, sql, params![device.0])?;
            }
            Ok(())
        }
        Write::LastSeen(seen) => {
            let sql = "UPDATE contacts SET last_seen = ?2, interval = ?3, address = coalesce(?4, address) WHERE device = ?1";
            let mut statement = connection.prepare_cached(sql)?;
            for LastSeen { device, at, interval, address } in seen {
                statement.execute(params![device.0, signed(*at), interval, address])?;
            }
            Ok(())
        }
        Write::Update(update) => put_update(connection, update),
        Write::Event(event) => put_event(connection, event),
        Write::Release(release) => put_release(connection, release),
        Write::DeleteRelease(id) => execute(connection, "DELETE FROM releases WHERE id = ?1", params![id.0]),
        Write::Rollout(rollout) => put_rollout(connection, rollout),
        Write::Filter(FilterRow { name, text }) => {
            execute(connection, "INSERT OR REPLACE INTO filters VALUES (?1, ?2)", params![name, text])
        }
        Write::DeleteFilter(name) => {
            execute(connection, "DELETE FROM filters WHERE name = ?1", params![name])
        }
        Write::Token(token) => {
            let TokenRow { id, name, hash, scopes, at, expires, revoked } = token;
            let (at, expires, revoked) = (signed(*at), expires.map(signed), revoked.map(signed));
            let sql = "INSERT OR REPLACE INTO tokens VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7)";
            execute(connection, sql, params![id.0, name, hash, scopes, at, expires, revoked])
        }
        Write::Audit(line) => put_audit(connection, line),
    }
}

fn execute(connection: &Connection, sql: &str, values: &[&dyn ToSql]) -> Result<(), StoreError> {
    connection.prepare_cached(sql)?.execute(values)?;
    Ok(())
}

const REPLACE_DEVICE: &str = "INSERT OR REPLACE INTO devices \
    (id, version_key, board_key, family, mac, standing, source, site, firmware, version, running, name, chip_id, note, \
     board, profile, md5, sha256, sketch_bytes, free_bytes, chip_bytes, sdk, core_at_least, signal, homie, said, first_seen) \
    VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13, ?14, ?15, ?16, ?17, ?18, ?19, ?20, ?21, ?22, ?23, \
     ?24, ?25, ?26, ?27)";

/// The same for a device that is still what it was, and where it was.
const UPDATE_DEVICE: &str = "UPDATE devices SET \
    version_key = ?2, firmware = ?9, version = ?10, running = ?11, name = ?12, chip_id = ?13, note = ?14, board = ?15, \
    profile = ?16, md5 = ?17, sha256 = ?18, sketch_bytes = ?19, free_bytes = ?20, chip_bytes = ?21, sdk = ?22, \
    core_at_least = ?23, signal = ?24, homie = ?25, said = ?26, first_seen = ?27 \
    WHERE id = ?1 AND board_key = ?3 AND family IS ?4 AND mac IS ?5 AND standing = ?6 AND source = ?7 AND site = ?8";

fn put_device(connection: &Connection, device: &DeviceRow) -> Result<(), StoreError> {
    let values = params![
        device.id.0,
        device.version.as_deref().and_then(order_key),
        plain_board(device.board.as_deref().unwrap_or_default()),
        device.family.map(family_code),
        device.mac.map(mac_number),
        device.standing as u8,
        device.source as u8,
        device.site,
        device.firmware,
        device.version,
        device.running.map(|id| id.0),
        device.name,
        device.chip_id,
        device.note,
        device.board,
        device.profile,
        device.md5.map(|md5| md5.0),
        device.sha256.map(|sha256| sha256.0),
        device.sketch_bytes.map(signed),
        device.free_bytes.map(signed),
        device.chip_bytes.map(signed),
        device.sdk,
        device.core_at_least,
        device.signal,
        device.homie,
        device.said,
        signed(device.first_seen),
    ];
    if connection.prepare_cached(UPDATE_DEVICE)?.execute(values)? == 0 {
        execute(connection, REPLACE_DEVICE, values)?;
    }
    let contact = params![device.id.0, signed(device.last_seen), device.interval, device.address];
    execute(connection, "INSERT OR REPLACE INTO contacts VALUES (?1, ?2, ?3, ?4)", contact)?;
    put_tags(connection, device)?;
    put_finds(connection, device)
}

fn put_tags(connection: &Connection, device: &DeviceRow) -> Result<(), StoreError> {
    let mut tags = device.tags.clone();
    tags.sort_unstable();
    tags.dedup();
    if tags_of(connection, device.id)? == tags {
        return Ok(());
    }
    execute(connection, "DELETE FROM tags WHERE device = ?1", params![device.id.0])?;
    for tag in tags {
        execute(connection, "INSERT INTO tags VALUES (?1, ?2)", params![device.id.0, tag])?;
    }
    Ok(())
}

/// Tags of a device, sorted.
pub(super) fn tags_of(connection: &Connection, device: DeviceId) -> Result<Vec<String>, StoreError> {
    let sql = "SELECT tag FROM tags WHERE device = ?1 ORDER BY tag";
    list(connection, sql, params![device.0], |cells| cells.next())
}

fn put_finds(connection: &Connection, device: &DeviceRow) -> Result<(), StoreError> {
    let mac = device.mac.map(|mac| mac.to_string()).unwrap_or_default();
    let mut rest = format!("{mac}\n{}\n{}", mac.replace(':', ""), device.site);
    for tag in &device.tags {
        rest.push('\n');
        rest.push_str(tag);
    }
    let sql = "INSERT INTO finds VALUES (?1, ?2, ?3) ON CONFLICT (device) DO UPDATE SET name = ?2, rest = ?3 \
        WHERE name IS NOT ?2 OR rest IS NOT ?3";
    execute(connection, sql, params![device.id.0, fold(&device.name), fold(&rest)])
}

/// A device, if it is there.
pub(super) fn get_device(connection: &Connection, id: DeviceId) -> Result<Option<DeviceRow>, StoreError> {
    let sql = concat!(
        "SELECT ",
        device_columns!(),
        " FROM devices JOIN contacts ON contacts.device = devices.id WHERE devices.id = ?1"
    );
    let mut statement = connection.prepare_cached(sql)?;
    let found = statement.query_row(params![id.0], |row| row::device(&mut Cells::of(row))).optional()?;
    let Some(mut device) = found else { return Ok(None) };
    device.tags = tags_of(connection, id)?;
    Ok(Some(device))
}

const UPDATE_SAID: &str = "UPDATE devices SET version_key = ?2, chip_id = ?5, firmware = ?6, version = ?7, md5 = ?8, \
    sha256 = ?9, sketch_bytes = ?10, free_bytes = ?11, chip_bytes = ?12, sdk = ?13, core_at_least = ?14, running = ?15 \
    WHERE id = ?1 AND family IS ?3 AND mac IS ?4";

fn said(connection: &Connection, said: &DeviceRow) -> Result<(), StoreError> {
    let values = params![
        said.id.0,
        said.version.as_deref().and_then(order_key),
        said.family.map(family_code),
        said.mac.map(mac_number),
        said.chip_id,
        said.firmware,
        said.version,
        said.md5.map(|md5| md5.0),
        said.sha256.map(|sha256| sha256.0),
        said.sketch_bytes.map(signed),
        said.free_bytes.map(signed),
        said.chip_bytes.map(signed),
        said.sdk,
        said.core_at_least,
        said.running.map(|id| id.0),
    ];
    if connection.prepare_cached(UPDATE_SAID)?.execute(values)? == 1 {
        let sql = "UPDATE contacts SET last_seen = ?2 WHERE device = ?1";
        return execute(connection, sql, params![said.id.0, signed(said.last_seen)]);
    }
    // The device has another address than before, which words of filters find. Or it is not there.
    let Some(device) = get_device(connection, said.id)? else { return Ok(()) };
    put_device(
        connection,
        &DeviceRow {
            standing: device.standing,
            source: device.source,
            name: device.name,
            site: device.site,
            tags: device.tags,
            note: device.note,
            board: device.board,
            profile: device.profile,
            signal: device.signal,
            homie: device.homie,
            said: device.said,
            address: device.address,
            first_seen: device.first_seen,
            interval: device.interval,
            ..said.clone()
        },
    )
}

fn edited(connection: &Connection, edited: &DeviceRow) -> Result<(), StoreError> {
    let Some(device) = get_device(connection, edited.id)? else { return Ok(()) };
    let DeviceRow { name, site, tags, note, board, profile, .. } = edited.clone();
    put_device(connection, &DeviceRow { name, site, tags, note, board, profile, ..device })
}

/// The update of the same rollout and release moves on.
const MOVE_UPDATE: &str = "UPDATE updates SET stage = ?4, before_image = ?5, before_version = ?6, state = ?7, why = ?8, \
    since = ?9, deadline = ?10, not_applied = ?11, refused = ?12, network = ?13, proofs = ?14, attempt = ?15, \
    hour_from = ?16, hour_whole = ?17, day_from = ?18, day_bytes = ?19 WHERE device = ?1 AND rollout = ?2 AND release = ?3";

/// The device has another update now. A device that is not there has none.
const NEW_UPDATE: &str = "INSERT OR REPLACE INTO updates SELECT ?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13, \
    ?14, ?15, ?16, ?17, ?18, ?19 WHERE EXISTS (SELECT 1 FROM contacts WHERE device = ?1)";

const KEEP_UPDATE: &str = concat!(
    "INSERT OR REPLACE INTO past_updates SELECT ",
    update_columns!("updates"),
    " FROM updates WHERE device = ?1"
);

fn put_update(connection: &Connection, row: &UpdateRow) -> Result<(), StoreError> {
    let UpdateRow { device, rollout, release, stage, before, update } = row;
    let rollout = rollout_code(*rollout);
    let values = params![
        device.0,
        rollout,
        release.0,
        stage,
        signed(before.0),
        signed(before.1),
        update.state as u8,
        update.why as u8,
        signed(update.since),
        update.deadline.map(signed),
        update.tries.not_applied,
        update.tries.refused,
        update.tries.network,
        update.proofs,
        update.attempt,
        signed(update.loads.hour.0),
        update.loads.hour.1,
        signed(update.loads.day.0),
        signed(update.loads.day.1),
    ];
    if connection.prepare_cached(MOVE_UPDATE)?.execute(values)? == 1 {
        return Ok(());
    }
    execute(connection, KEEP_UPDATE, params![device.0])?;
    let again = "DELETE FROM past_updates WHERE device = ?1 AND rollout = ?2 AND release = ?3";
    execute(connection, again, params![device.0, rollout, release.0])?;
    execute(connection, NEW_UPDATE, values)
}

fn put_event(connection: &Connection, event: &EventRow) -> Result<(), StoreError> {
    let sql = "INSERT INTO events (device, at, code, text, rollout) SELECT ?1, ?2, ?3, ?4, ?5 WHERE NOT EXISTS (\
        SELECT 1 FROM (SELECT number, at FROM events INDEXED BY events_device WHERE device = ?1 \
        ORDER BY number DESC LIMIT ?6) AS recent CROSS JOIN events AS same ON same.number = recent.number \
        WHERE recent.at = ?2 AND same.code = ?3 AND same.text = ?4 AND same.rollout IS ?5)";
    let EventRow { device, at, code, text, rollout } = event;
    let rollout = rollout.map(|id| id.0);
    execute(connection, sql, params![device.0, signed(*at), code, text, rollout, RECENT])
}

fn put_release(connection: &Connection, release: &ReleaseRow) -> Result<(), StoreError> {
    let sql =
        "INSERT OR REPLACE INTO releases VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13)";
    let values = params![
        release.id.0,
        release.firmware,
        release.version,
        release.board,
        release.manifest,
        json(&release.files)?,
        release.key_id,
        release.offered as u8,
        release.notes,
        release.support_until.map(signed),
        release.security,
        release.by,
        signed(release.at),
    ];
    execute(connection, sql, values)
}

fn put_rollout(connection: &Connection, rollout: &RolloutRow) -> Result<(), StoreError> {
    let sql = "INSERT OR REPLACE INTO rollouts VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9)";
    let values = params![
        rollout.id.0,
        rollout.name,
        rollout.release.0,
        json(&rollout.plan)?,
        json(&rollout.state)?,
        json(&rollout.counts.numbers())?,
        json(&rollout.places)?,
        rollout.by,
        signed(rollout.at),
    ];
    execute(connection, sql, values)
}

fn json(value: &impl serde::Serialize) -> Result<String, StoreError> {
    serde_json::to_string(value).map_err(|error| StoreError::Failed(error.to_string()))
}

fn put_audit(connection: &Connection, line: &AuditRow) -> Result<(), StoreError> {
    let sql = "SELECT number, at, actor, action, object, before, after, hash FROM audit WHERE number = ?1";
    let there = list(connection, sql, params![signed(line.number)], row::audit)?;
    match there.first() {
        // The same batch comes again after an error that did not say whether it was applied.
        Some(there) if there == line => Ok(()),
        Some(_) => Err(StoreError::Damaged(format!("the audit log has another line {}", line.number))),
        None => {
            let AuditRow { number, at, actor, action, object, before, after, hash } = line;
            let (number, at) = (signed(*number), signed(*at));
            let sql = "INSERT INTO audit VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8)";
            execute(connection, sql, params![number, at, actor, action, object, before, after, hash])
        }
    }
}
