//! What the service keeps: rows, the writes that change them, and the questions that pages and commands ask.
//!
//! The service decides in memory. [`Store::apply`] makes its decisions durable, many at a time, in one transaction. A write
//! is the whole new row, so that applying a batch twice gives the same rows. Lists are answered by the store: a list of a
//! million devices must not stop the polls.

#[cfg(all(test, feature = "program"))]
mod conformance;
pub mod rows;
#[cfg(feature = "program")]
pub mod sqlite;

use rows::*;

use crate::filter::Filter;

/// Why a store cannot do what it is asked for.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum StoreError {
    /// The data were written by a newer version of this program.
    #[error("the data have the schema {found}, and this version knows schemas up to {known}")]
    Newer {
        /// The schema of the data.
        found: u32,
        /// The newest one that is known.
        known: u32,
    },
    /// The disk is full.
    #[error("the disk with the data is full")]
    Full,
    /// The data cannot be written.
    #[error("the data cannot be written: {0}")]
    ReadOnly(String),
    /// Another process has the data.
    #[error("another otaseal-fleet uses these data")]
    Locked,
    /// A row that makes no sense.
    #[error("the data are damaged: {0}")]
    Damaged(String),
    /// Anything else.
    #[error("the store failed: {0}")]
    Failed(String),
}

/// Everything that the service holds in memory.
#[derive(Debug, Default)]
pub struct Loaded {
    /// All releases, by id.
    pub releases: Vec<ReleaseRow>,
    /// All rollouts, by id.
    pub rollouts: Vec<RolloutRow>,
    /// Saved filters, by name.
    pub filters: Vec<FilterRow>,
    /// Tokens, by id.
    pub tokens: Vec<TokenRow>,
    /// The last line of the audit log.
    pub last_audit: Option<AuditRow>,
    /// The latest time in the data, in seconds since 1970.
    pub latest: u64,
}

/// One change. Rows are whole: a write replaces the row with its key.
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub enum Write {
    /// A device and its tags.
    Device(Box<DeviceRow>),
    /// What a device says of itself: its family, identity, firmware, version, digests, sizes, SDK and core, the release
    /// that it runs, and when it was last seen. Every other column of the row stays.
    Said(Box<DeviceRow>),
    /// What people write of a device: its name, site, tags, note, board and profile. Every other column of the row stays.
    Edited(Box<DeviceRow>),
    /// Whether a device may be updated.
    Standing(DeviceId, Standing),
    /// The release that a device runs: it was uploaded later.
    Runs(DeviceId, ReleaseId),
    /// A device that is gone. Its events stay.
    DeleteDevice(DeviceId),
    /// When devices were last heard of. A device that is not there is left out, and one without an address keeps its own.
    LastSeen(Vec<LastSeen>),
    /// An update of a device. The key of the row is the device, the rollout and the release. The one that was written last
    /// is the update that the device has now; those of earlier rollouts stay as they ended. A device that is not there has
    /// none.
    Update(UpdateRow),
    /// An event of a device. It is not written again if it is among the last events of the device.
    Event(EventRow),
    /// A release.
    Release(Box<ReleaseRow>),
    /// A release that is gone.
    DeleteRelease(ReleaseId),
    /// A rollout, with its counters.
    Rollout(Box<RolloutRow>),
    /// A saved filter.
    Filter(FilterRow),
    /// A saved filter that is gone.
    DeleteFilter(String),
    /// A token.
    Token(TokenRow),
    /// A line of the audit log. It is refused if another line with its number is there.
    Audit(AuditRow),
}

/// The data. One process writes them.
pub trait Store: Send {
    /// Reads what the service holds in memory, except devices.
    ///
    /// # Errors
    /// [`StoreError`].
    fn load(&mut self) -> Result<Loaded, StoreError>;

    /// Reads every device with the update that was written last, in the order of ids.
    ///
    /// # Errors
    /// [`StoreError`].
    fn load_devices(&mut self, each: &mut dyn FnMut(DeviceRow, Option<UpdateRow>)) -> Result<(), StoreError>;

    /// Makes these changes durable, all or none.
    ///
    /// # Errors
    /// [`StoreError`]. Nothing was changed, or it is not known: the disk may fail when everything is written. Apply the same
    /// changes again.
    fn apply(&mut self, writes: &[Write]) -> Result<(), StoreError>;

    /// Opens another connection that only reads.
    ///
    /// # Errors
    /// [`StoreError`].
    fn reader(&self) -> Result<Box<dyn Reader>, StoreError>;
}

/// A part of a list: rows after a key, at most so many.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Page<K> {
    /// The last key of the page before. `None`: from the beginning.
    pub after: Option<K>,
    /// Most rows. At most [`MAX_PAGE`].
    pub rows: u32,
}

/// Rows of the largest page.
pub const MAX_PAGE: u32 = 1_000;

/// Answers questions. It never waits for the writer, and the writer never waits for it.
///
/// A filter asks for times that are relative to `now`, in seconds since 1970.
pub trait Reader: Send {
    /// Devices that the filter holds for, by id.
    ///
    /// # Errors
    /// [`StoreError`].
    fn devices(
        &mut self,
        filter: &Filter,
        page: Page<DeviceId>,
        now: u64,
    ) -> Result<Vec<DeviceRow>, StoreError>;

    /// Ids of all devices that the filter holds for, in order. For rollouts and bulk edits.
    ///
    /// # Errors
    /// [`StoreError`].
    fn device_ids(&mut self, filter: &Filter, now: u64) -> Result<Vec<DeviceId>, StoreError>;

    /// How many devices the filter holds for.
    ///
    /// # Errors
    /// [`StoreError`].
    fn count(&mut self, filter: &Filter, now: u64) -> Result<u64, StoreError>;

    /// Whether the filter holds for this device.
    ///
    /// # Errors
    /// [`StoreError`].
    fn holds(&mut self, filter: &Filter, device: DeviceId, now: u64) -> Result<bool, StoreError>;

    /// One device.
    ///
    /// # Errors
    /// [`StoreError`].
    fn device(&mut self, id: DeviceId) -> Result<Option<DeviceRow>, StoreError>;

    /// The last update of a device.
    ///
    /// # Errors
    /// [`StoreError`].
    fn update(&mut self, id: DeviceId) -> Result<Option<UpdateRow>, StoreError>;

    /// Updates of a rollout, by device, of all states or of one.
    ///
    /// # Errors
    /// [`StoreError`].
    fn updates(
        &mut self,
        rollout: RolloutId,
        state: Option<crate::rollout::update::State>,
        page: Page<DeviceId>,
    ) -> Result<Vec<UpdateRow>, StoreError>;

    /// Events of a device, or of all, the newest first. `after` is the number of the last one on the page before.
    ///
    /// # Errors
    /// [`StoreError`].
    fn events(
        &mut self,
        device: Option<DeviceId>,
        page: Page<u64>,
    ) -> Result<Vec<(u64, EventRow)>, StoreError>;

    /// Lines of the audit log, the newest first.
    ///
    /// # Errors
    /// [`StoreError`].
    fn audit(&mut self, page: Page<u64>) -> Result<Vec<AuditRow>, StoreError>;

    /// Writes a consistent copy of the data into a new file, while others write.
    ///
    /// # Errors
    /// [`StoreError`], or the file exists.
    fn backup(&mut self, to: &std::path::Path) -> Result<(), StoreError>;
}
