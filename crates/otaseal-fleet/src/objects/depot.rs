//! The objects as the service uses them.

use super::{Cache, Incoming, Object, ObjectError, Objects};
use bytes::Bytes;
use otaseal::format::digest::{Sha256Digest, sha256};
use otaseal_delivery::release::{Contents, Stored};
use std::collections::HashMap;
use std::fmt;
use std::io::{self, Read};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// Objects, with the latest in memory.
pub struct Depot {
    objects: Box<dyn Objects>,
    cache: Cache,
    pins: Mutex<HashMap<Sha256Digest, Pin>>,
}

/// An object that uploads hold which are not finished.
#[derive(Debug, Default)]
struct Pin {
    uploads: usize,
    /// Whether one of them brought it, and none has finished.
    is_fresh: bool,
}

impl fmt::Debug for Depot {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Depot").finish_non_exhaustive()
    }
}

/// What [`Depot::sweep`] removed.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Swept {
    /// Objects.
    pub objects: usize,
    /// Their bytes.
    pub bytes: u64,
}

impl Depot {
    /// The objects of a place. At most `cached` bytes of them are in memory.
    pub fn new(objects: impl Objects + 'static, cached: usize) -> Arc<Self> {
        Arc::new(Self { objects: Box::new(objects), cache: Cache::new(cached), pins: Mutex::default() })
    }

    fn pins(&self) -> MutexGuard<'_, HashMap<Sha256Digest, Pin>> {
        self.pins.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Begins an object of at most `limit` bytes.
    ///
    /// # Errors
    /// Those of [`Objects::begin`].
    pub fn begin(&self, limit: u64) -> Result<Incoming, ObjectError> {
        self.objects.begin(limit)
    }

    /// Keeps an object, until what comes back is dropped: see [`Kept::stored`].
    ///
    /// # Errors
    /// Those of [`Objects::put`].
    pub fn keep(self: &Arc<Self>, incoming: Incoming) -> Result<Kept, ObjectError> {
        let object = incoming.object();
        // Held all the while: nobody removes the object between here and the pin.
        let mut pins = self.pins();
        let is_new = self.objects.put(incoming)?;
        let pin = pins.entry(object.sha256).or_default();
        pin.uploads += 1;
        pin.is_fresh |= is_new;
        Ok(Kept { depot: Arc::clone(self), object })
    }

    /// Reads an object from its place, and compares its size and digest.
    ///
    /// # Errors
    /// Those of [`Objects::open`], and [`ObjectError::Damaged`].
    pub fn read(&self, object: &Object) -> Result<Vec<u8>, ObjectError> {
        let reader = self.objects.open(&object.sha256)?;
        let mut bytes = Vec::new();
        reader
            .take(object.bytes.saturating_add(1))
            .read_to_end(&mut bytes)
            .map_err(ObjectError::io(object.sha256.to_string()))?;
        match bytes.len() as u64 == object.bytes && sha256(&bytes) == object.sha256 {
            true => Ok(bytes),
            false => Err(ObjectError::Damaged(object.sha256)),
        }
    }

    /// An object as the contents of a release's file. They are read when they are wanted, and compared each time.
    pub fn contents(self: &Arc<Self>, object: Object) -> Contents {
        Contents::Stored(Arc::new(InDepot { depot: Arc::clone(self), object }))
    }

    /// Removes objects to which nothing refers. Objects of an upload that is not finished stay.
    ///
    /// `is_referred` is asked right before an object is removed. It must know a release before [`Kept::stored`] is called
    /// for its objects.
    ///
    /// # Errors
    /// The first one. Objects that are listed before it may be gone.
    pub fn sweep(&self, is_referred: impl Fn(&Sha256Digest) -> bool) -> Result<Swept, ObjectError> {
        let mut swept = Swept::default();
        for object in self.objects.list()? {
            let pins = self.pins();
            if !pins.contains_key(&object.sha256)
                && !is_referred(&object.sha256)
                && self.objects.remove(&object.sha256)?
            {
                swept.objects += 1;
                swept.bytes += object.bytes;
            }
        }
        Ok(swept)
    }
}

/// An object of an upload that is not finished. If it is dropped before [`Kept::stored`], and no other upload has the
/// object, it is removed.
#[derive(Debug)]
pub struct Kept {
    depot: Arc<Depot>,
    object: Object,
}

impl Kept {
    /// The object.
    pub fn object(&self) -> Object {
        self.object
    }

    /// Says that a release which refers to the object is stored: the object stays.
    pub fn stored(self) {
        if let Some(pin) = self.depot.pins().get_mut(&self.object.sha256) {
            pin.is_fresh = false;
        }
    }
}

impl Drop for Kept {
    fn drop(&mut self) {
        let mut pins = self.depot.pins();
        let Some(pin) = pins.get_mut(&self.object.sha256) else { return };
        pin.uploads -= 1;
        if pin.uploads > 0 {
            return;
        }
        let is_fresh = pin.is_fresh;
        pins.remove(&self.object.sha256);
        if is_fresh {
            // If it cannot be removed now, a sweep does it later.
            let _ = self.depot.objects.remove(&self.object.sha256);
        }
    }
}

struct InDepot {
    depot: Arc<Depot>,
    object: Object,
}

impl Stored for InDepot {
    fn held(&self) -> Option<Bytes> {
        self.depot.cache.get(&self.object.sha256)
    }

    fn load(&self) -> io::Result<Bytes> {
        let Self { depot, object } = self;
        depot.cache.load(&object.sha256, || Ok(depot.read(object)?))
    }
}
