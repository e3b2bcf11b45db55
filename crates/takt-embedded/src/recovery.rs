//! Opening a log: reads the segments, cuts a torn tail, and makes a new log where there is none.

use std::sync::Arc;
use std::time::{SystemTime, UNIX_EPOCH};

use bytes::Bytes;
use takt_domain::Time;
use takt_ports::LogIdentity;

use crate::disk::{Disk, DiskFile, read_all};
use crate::error::Fault;
use crate::index::Index;
use crate::segment::{self, HEADER, Rest};
use crate::sidecar::{self, Sidecar};

/// An opened log.
pub(crate) struct Opened {
    /// Which log it is.
    pub(crate) identity: LogIdentity,
    /// What is in it.
    pub(crate) index: Arc<Index>,
    /// The segment that is written.
    pub(crate) active: Active,
}

/// The segment that is written.
pub(crate) struct Active {
    /// Its file.
    pub(crate) file: Arc<dyn DiskFile>,
    /// Its durable length.
    pub(crate) length: u64,
}

/// Opens the log on a disk.
pub(crate) fn open(disk: &dyn Disk) -> Result<Opened, Fault> {
    let mut starts: Vec<u64> =
        disk.names()?.iter().filter_map(|name| segment::first_of(name)).collect();
    starts.sort_unstable();
    drop_unfinished(disk, &mut starts)?;
    let index = Arc::new(Index::default());
    let Some(last) = starts.last().copied() else { return make(disk, index) };
    let mut identity = None;
    for first in starts {
        let found = match sealed(disk, &index, first, last) {
            Some(found) => found,
            None => load(disk, &index, first, first == last)?,
        };
        let same = identity.get_or_insert_with(|| found.0.clone()) == &found.0;
        if !same {
            return Err(foreign(first));
        }
        if first == last {
            return Ok(Opened { identity: found.0, index, active: found.1 });
        }
    }
    Err(foreign(last))
}

/// A segment whose header was never durable holds no entry: its making was cut short.
fn drop_unfinished(disk: &dyn Disk, starts: &mut Vec<u64>) -> Result<(), Fault> {
    let Some(first) = starts.last().copied() else { return Ok(()) };
    let name = segment::name(first);
    let file = disk.open(&name)?;
    if file.length()? > HEADER as u64 {
        return Ok(());
    }
    let header = read_all(file.as_ref())?;
    if segment::parse_header(&header, first).is_none() {
        disk.remove(&name)?;
        disk.sync_names()?;
        starts.pop();
    }
    Ok(())
}

fn make(disk: &dyn Disk, index: Arc<Index>) -> Result<Opened, Fault> {
    let micros = SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |past| past.as_micros());
    let identity = LogIdentity {
        creation_id: uuid::Uuid::new_v4(),
        created_at: Time::from_micros(i64::try_from(micros).unwrap_or(i64::MAX)),
    };
    let active = start_segment(disk, &identity, 1)?;
    index.add_segment(1, Arc::clone(&active.file), active.length);
    Ok(Opened { identity, index, active })
}

/// Makes an empty segment, durable with its name.
pub(crate) fn start_segment(
    disk: &dyn Disk,
    identity: &LogIdentity,
    first: u64,
) -> std::io::Result<Active> {
    let file = disk.create(&segment::name(first))?;
    let header = segment::header(identity, first);
    file.write_at(0, &header)?;
    file.sync()?;
    disk.sync_names()?;
    Ok(Active { file, length: HEADER as u64 })
}

/// Adds a segment that is full without reading it, if its sidecar is good. Its entries are checked
/// when they are read.
fn sealed(disk: &dyn Disk, index: &Index, first: u64, last: u64) -> Option<(LogIdentity, Active)> {
    if first == last || index.head() + 1 != first {
        return None;
    }
    let file = disk.open(&segment::name(first)).ok()?;
    let mut header = [0; HEADER];
    file.read_at(0, &mut header).ok()?;
    let identity = segment::parse_header(&header, first)?;
    let bytes = read_all(disk.open(&sidecar::name(first)).ok()?.as_ref()).ok()?;
    let found = Sidecar::decode(&bytes, &identity, first)?;
    let length = file.length().ok().filter(|length| *length == found.end)?;
    index.add_sealed(first, Arc::clone(&file), found);
    Some((identity, Active { file, length }))
}

/// Writes the sidecar of the index's last segment, which is full. Without it the next opening reads
/// the segment whole, so a failure is told and no more.
pub(crate) fn write_sidecar(disk: &dyn Disk, identity: &LogIdentity, index: &Index) {
    let Some((first, found)) = index.last_as_sidecar() else { return };
    let bytes = found.encode(identity, first);
    let written = disk.create(&sidecar::name(first)).and_then(|file| {
        file.write_at(0, &bytes)?;
        file.sync()
    });
    if let Err(error) = written {
        tracing::warn!(%error, first, "the sidecar of a segment could not be written");
    }
}

fn load(
    disk: &dyn Disk,
    index: &Index,
    first: u64,
    is_last: bool,
) -> Result<(LogIdentity, Active), Fault> {
    if index.head() + 1 != first {
        let reason = format!("segment `{}` does not follow it", segment::name(first));
        return Err(Fault::Damaged { seq: index.head() + 1, reason });
    }
    let file = disk.open(&segment::name(first))?;
    let data = Bytes::from(read_all(file.as_ref())?);
    let identity = segment::parse_header(&data, first).ok_or_else(|| foreign(first))?;
    let scan = segment::scan(&data, first);
    let length = scan.end as u64;
    match scan.rest {
        Rest::Nothing => {}
        Rest::Torn { seq, reason } if is_last => {
            tracing::warn!(seq, reason, "a batch that was never acknowledged is cut off");
            file.truncate(length)?;
        }
        Rest::Torn { seq, reason } | Rest::Damaged { seq, reason } => {
            let reason = format!("{reason} in `{}`", segment::name(first));
            return Err(Fault::Damaged { seq, reason });
        }
    }
    if is_last {
        // What was written but not synced before a kill may be served from now on.
        file.sync()?;
    }
    index.add_segment(first, Arc::clone(&file), length);
    index.extend(scan.rows, length);
    if !is_last {
        write_sidecar(disk, &identity, index);
    }
    Ok((identity, Active { file, length }))
}

fn foreign(first: u64) -> Fault {
    let reason = format!("the header of `{}` is damaged or of another log", segment::name(first));
    Fault::Damaged { seq: first, reason }
}
