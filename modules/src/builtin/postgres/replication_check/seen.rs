//! What each side of a replication shows.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::builtin::postgres::tde::{KeyScope, Tde};
use crate::host::{Host, Look};
use crate::sql::{PgConn, SqlArg};

/// A standby, as it shows itself. Registered by name and read again, so other values of a task's result are let pass.
#[derive(Clone, Debug, Default, Deserialize, JsonSchema, PartialEq, Serialize)]
pub(super) struct OnStandby {
    /// The system identifier.
    pub(super) system: String,
    /// The timeline that it receives, else that of its last checkpoint.
    pub(super) timeline: u64,
    /// Whether it is in recovery.
    pub(super) in_recovery: bool,
    /// `streaming`, if there is a WAL receiver and all is well.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) receiver: Option<String>,
    /// The slot that the receiver uses.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) slot: Option<String>,
    /// The last WAL that was received.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) receive_lsn: Option<String>,
    /// The last WAL that was replayed.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) replay_lsn: Option<String>,
    /// Seconds since the last transaction that was replayed was committed; 0 if all that was received is replayed.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) lag_seconds: Option<f64>,
    /// The principal keys that are set.
    pub(super) keys: Vec<Key>,
}

/// A principal key.
#[derive(Clone, Debug, Deserialize, JsonSchema, PartialEq, Serialize)]
pub(super) struct Key {
    /// `server key`.
    pub(super) key: String,
    /// Why it can't be had; absent if it can.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) problem: Option<String>,
}

/// The primary, and how it sees the standby.
#[derive(Clone, Debug, Default, PartialEq)]
pub(super) struct OnPrimary {
    pub(super) system: String,
    pub(super) timeline: u64,
    pub(super) in_recovery: bool,
    /// Written so far; of a standby that others follow, replayed so far.
    pub(super) lsn: Option<String>,
    pub(super) slot: Option<Slot>,
    pub(super) keys: Vec<Key>,
}

/// The slot, and the process that holds it.
#[derive(Clone, Debug, Default, PartialEq)]
pub(super) struct Slot {
    pub(super) kind: String,
    /// `lost`: the WAL that it should keep is gone.
    pub(super) wal_status: Option<String>,
    pub(super) active_pid: Option<u64>,
    /// Of the process's row in pg_stat_replication.
    pub(super) application: Option<String>,
    pub(super) address: Option<String>,
    pub(super) state: Option<String>,
}

/// Of a server that is promoted, the name of its WAL file says the timeline: the last checkpoint may be of the time before.
const STANDBY: &str = "SELECT (SELECT system_identifier::text FROM pg_control_system()), coalesce(r.received_tli, CASE WHEN pg_is_in_recovery() THEN (SELECT timeline_id FROM pg_control_checkpoint()) ELSE ('x' || left(pg_walfile_name(pg_current_wal_lsn()), 8))::bit(32)::int END), pg_is_in_recovery(), r.status, r.slot_name, pg_last_wal_receive_lsn()::text, pg_last_wal_replay_lsn()::text, CASE WHEN pg_last_wal_receive_lsn() = pg_last_wal_replay_lsn() THEN 0 ELSE extract(epoch FROM now() - pg_last_xact_replay_timestamp())::float8 END FROM (SELECT) one LEFT JOIN pg_stat_wal_receiver r ON true";

const PRIMARY: &str = "SELECT (SELECT system_identifier::text FROM pg_control_system()), CASE WHEN pg_is_in_recovery() THEN (SELECT timeline_id FROM pg_control_checkpoint()) ELSE ('x' || left(pg_walfile_name(pg_current_wal_lsn()), 8))::bit(32)::int END, pg_is_in_recovery(), CASE WHEN pg_is_in_recovery() THEN pg_last_wal_replay_lsn() ELSE pg_current_wal_lsn() END::text";

const SLOT: &str = "SELECT s.slot_type, s.wal_status, s.active_pid, r.application_name, host(r.client_addr), r.state FROM pg_replication_slots s LEFT JOIN pg_stat_replication r ON r.pid = s.active_pid WHERE s.slot_name = $1";

/// A row's columns, by number.
struct Row(Vec<Value>);

impl Row {
    fn of(host: &dyn Host, at: &PgConn, query: &str, args: &[SqlArg]) -> Look<Option<Self>> {
        Ok(host.sql(at, query, args)?.rows.into_iter().next().map(Self))
    }
    fn text(&self, at: usize) -> Option<String> {
        self.0.get(at)?.as_str().map(Into::into)
    }
    fn number(&self, at: usize) -> Option<u64> {
        self.0.get(at)?.as_u64()
    }
    fn is(&self, at: usize) -> bool {
        self.0.get(at) == Some(&Value::Bool(true))
    }
}

impl OnStandby {
    pub(super) fn look(host: &dyn Host, at: &PgConn, extension: &str) -> Look<Self> {
        let keys = keys(host, at, extension)?;
        let row = Row::of(host, at, STANDBY, &[])?.unwrap_or(Row(Vec::new()));
        Ok(Self {
            system: row.text(0).unwrap_or_default(),
            timeline: row.number(1).unwrap_or_default(),
            in_recovery: row.is(2),
            receiver: row.text(3),
            slot: row.text(4),
            receive_lsn: row.text(5),
            replay_lsn: row.text(6),
            lag_seconds: row.0.get(7).and_then(Value::as_f64),
            keys,
        })
    }
}

impl OnPrimary {
    /// Its LSN is asked for last of all: the standby's must not be newer than it.
    pub(super) fn look(host: &dyn Host, at: &PgConn, slot: &str, extension: &str) -> Look<Self> {
        let keys = keys(host, at, extension)?;
        let slot = Row::of(host, at, SLOT, &[SqlArg::Text(slot.into())])?.map(|row| Slot {
            kind: row.text(0).unwrap_or_default(),
            wal_status: row.text(1),
            active_pid: row.number(2),
            application: row.text(3),
            address: row.text(4),
            state: row.text(5),
        });
        let row = Row::of(host, at, PRIMARY, &[])?.unwrap_or(Row(Vec::new()));
        Ok(Self {
            system: row.text(0).unwrap_or_default(),
            timeline: row.number(1).unwrap_or_default(),
            in_recovery: row.is(2),
            lsn: row.text(3),
            slot,
            keys,
        })
    }
}

/// The principal keys that are set, each asked of its provider. None where the database has no such extension.
fn keys(host: &dyn Host, at: &PgConn, extension: &str) -> Look<Vec<Key>> {
    let Some(tde) = Tde::find(host, at.clone(), extension)? else { return Ok(Vec::new()) };
    let mut keys = Vec::new();
    for scope in KeyScope::ALL {
        if let Some(key) = tde.key(scope)? {
            let problem = tde.verify(scope).err().map(|error| error.to_string());
            keys.push(Key { key: format!("{} {}", scope.name(), key.name), problem });
        }
    }
    Ok(keys)
}
