//! The folder of a cache: the names and locks of its files, and which of them to remove. Everything here
//! blocks.
//!
//! | file | lock |
//! | --- | --- |
//! | `{hash}-{name}`: an object | shared by those who use it; exclusive to remove it |
//! | `.unfinished-{hash}-{size}-{random}`: a download | exclusive, by who writes it |
//! | `.lock` | exclusive, by who creates or removes one of the others |
//!
//! So a file that can be locked exclusively is unused, and a download that can be locked was left by a killed process.
//! Nothing is flushed to disk, since what a killed process has written is still in the system's memory.

use std::collections::HashSet;
use std::ffi::OsString;
use std::fs::{self, File, TryLockError};
use std::io;
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::time::SystemTime;

use sha2::{Digest, Sha256};
use tempfile::{Builder, NamedTempFile};

use super::input::{InputFile, shown_name};
use crate::{ObjectInfo, StorageError};
use reefguide_transport::atomic_file::UNFINISHED;
use reefguide_transport::hex::hex;

const LOCK: &str = ".lock";
/// How many bytes of a digest a name has, with two digits each.
const HASH: usize = 16;

/// A version of an object.
#[derive(Clone)]
pub(super) struct Version {
    hash: String,
    name: String,
    size: u64,
}

impl Version {
    /// `None` if its store does not distinguish versions.
    pub(super) fn new(object: &ObjectInfo) -> Option<Self> {
        let etag = object.etag.as_deref()?;
        // A URI has no line break, so different pairs give different texts.
        let digest = Sha256::digest(format!("{}\n{etag}", object.uri));
        Some(Self {
            hash: hex(&digest[..HASH]),
            name: shown_name(&object.uri),
            size: object.size,
        })
    }

    pub(super) fn size(&self) -> u64 {
        self.size
    }
}

/// The kind of a file, by its name.
enum Kind<'a> {
    Entry,
    Unfinished { hash: &'a str, size: u64 },
}

impl<'a> Kind<'a> {
    /// `None` for files that are not the cache's.
    fn of(name: &'a str) -> Option<Self> {
        let unfinished = name.strip_prefix(UNFINISHED);
        let (hash, rest) = unfinished.unwrap_or(name).split_once('-')?;
        let digits = |byte: u8| matches!(byte, b'0'..=b'9' | b'a'..=b'f');
        if hash.len() != 2 * HASH || !hash.bytes().all(digits) {
            return None;
        }
        if unfinished.is_none() {
            return Some(Self::Entry);
        }
        let (size, _) = rest.split_once('-')?;
        let size = size.parse().ok()?;
        Some(Self::Unfinished { hash, size })
    }
}

/// The locked file of a download. Removed when dropped.
pub(super) struct Unfinished(NamedTempFile);

impl Unfinished {
    pub(super) fn path(&self) -> &Path {
        self.0.path()
    }
}

/// The result of looking for a version.
pub(super) enum Found {
    /// The version, locked.
    Entry(File),
    /// A file to download it to.
    Place(Unfinished),
    /// No room for it.
    NoRoom,
}

#[derive(Debug)]
pub(super) struct Entries {
    folder: PathBuf,
    limit: u64,
}

/// The content of the folder.
#[derive(Default)]
struct Inventory {
    entries: Vec<Entry>,
    /// The hashes of downloads under way.
    unfinished: HashSet<String>,
    size: u64,
}

struct Entry {
    used: SystemTime,
    size: u64,
    path: PathBuf,
}

impl Entries {
    pub(super) fn new(folder: PathBuf, limit: u64) -> Self {
        Self { folder, limit }
    }

    pub(super) fn folder(&self) -> &Path {
        &self.folder
    }

    pub(super) fn limit(&self) -> u64 {
        self.limit
    }

    pub(super) fn input(&self, version: &Version, lock: File) -> InputFile {
        InputFile::locked(self.place(version), version.size, lock)
    }

    fn place(&self, version: &Version) -> PathBuf {
        self.folder
            .join(format!("{}-{}", version.hash, version.name))
    }

    /// Checks that files can be created and locked here, and cleans up unless another process does.
    pub(super) fn prepare(&self) -> Result<(), StorageError> {
        let locked = self.lock()?;
        tempfile::tempfile_in(&self.folder)
            .map_err(StorageError::local("write in", &self.folder))?;
        if locked.is_some() {
            let inventory = self.inventory()?;
            let excess = inventory.size.saturating_sub(self.limit);
            inventory.evict(excess);
        }
        Ok(())
    }

    /// Looks for a version; `None` while another process has locked it or the folder.
    pub(super) fn look(&self, version: &Version) -> Result<Option<Found>, StorageError> {
        match self.open(version)? {
            Opened::Locked(file) => return Ok(Some(Found::Entry(file))),
            Opened::Busy => return Ok(None),
            Opened::Absent => {}
        }
        if self.is_under_way(version)? {
            return Ok(None);
        }
        let Some(_locked) = self.lock()? else {
            return Ok(None);
        };
        // It may have been completed before the folder was locked.
        match self.open(version)? {
            Opened::Locked(file) => return Ok(Some(Found::Entry(file))),
            Opened::Busy => return Ok(None),
            Opened::Absent => {}
        }
        let inventory = self.inventory()?;
        if inventory.unfinished.contains(&version.hash) {
            return Ok(None);
        }
        let excess = inventory.size.saturating_add(version.size);
        let excess = excess.saturating_sub(self.limit);
        if inventory.evict(excess) < excess {
            return Ok(Some(Found::NoRoom));
        }
        let unfinished = Builder::new()
            .prefix(&format!("{UNFINISHED}{}-{}-", version.hash, version.size))
            // The umask decides who may read it, as for other files.
            .permissions(fs::Permissions::from_mode(0o666))
            .tempfile_in(&self.folder)
            .map_err(StorageError::local("write in", &self.folder))?;
        // `is_under_way` in another process may hold a lock on it for a moment.
        let locked = unfinished.as_file().lock();
        locked.map_err(StorageError::local("lock", unfinished.path()))?;
        Ok(Some(Found::Place(Unfinished(unfinished))))
    }

    /// Gives a download its name, and keeps a shared lock on it. `None` while another process has locked the folder;
    /// `Some(None)` if the file could not be kept.
    pub(super) fn commit(
        &self,
        version: &Version,
        unfinished: &Unfinished,
    ) -> Result<Option<Option<File>>, StorageError> {
        let Some(_locked) = self.lock()? else {
            return Ok(None);
        };
        let place = self.place(version);
        let refused = StorageError::local("write", &place);
        fs::rename(unfinished.path(), &place)
            .and_then(|()| unfinished.0.as_file().unlock())
            .map_err(refused)?;
        Ok(Some(match self.open(version)? {
            Opened::Locked(file) => Some(file),
            Opened::Busy | Opened::Absent => None,
        }))
    }

    /// Removes entries of so many bytes, if that many are not in use.
    pub(super) fn free(&self, bytes: u64) -> Result<Option<()>, StorageError> {
        let Some(_locked) = self.lock()? else {
            return Ok(None);
        };
        self.inventory()?.evict(bytes);
        Ok(Some(()))
    }

    /// Whether another process or task downloads the version, as far as it shows without locking the folder.
    fn is_under_way(&self, version: &Version) -> Result<bool, StorageError> {
        for name in self.names()? {
            let name = name?;
            let Some(Kind::Unfinished { hash, .. }) = name.to_str().and_then(Kind::of) else {
                continue;
            };
            let held = || {
                File::open(self.folder.join(&name))
                    .ok()?
                    .try_lock_shared()
                    .err()
            };
            if hash == version.hash && matches!(held(), Some(TryLockError::WouldBlock)) {
                return Ok(true);
            }
        }
        Ok(false)
    }

    /// Opens an entry with a shared lock, which protects it from removal.
    fn open(&self, version: &Version) -> Result<Opened, StorageError> {
        let place = self.place(version);
        let opened = || {
            let file = File::open(&place)?;
            match file.try_lock_shared() {
                Err(TryLockError::WouldBlock) => return Ok(Opened::Busy),
                Err(TryLockError::Error(error)) => return Err(error),
                Ok(()) => {}
            }
            let (held, there) = (file.metadata()?, File::open(&place)?.metadata()?);
            // It was removed or replaced before it was locked.
            if (held.dev(), held.ino()) != (there.dev(), there.ino()) {
                return Ok(Opened::Busy);
            }
            // It is damaged, and is replaced.
            if held.len() != version.size {
                return Ok(Opened::Absent);
            }
            // Only the file's owner may do this. For others, the file looks less recently used than it is.
            let _ = file.set_modified(SystemTime::now());
            Ok(Opened::Locked(file))
        };
        match opened() {
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(Opened::Absent),
            opened => opened.map_err(StorageError::local("read", &place)),
        }
    }

    /// The lock on the folder, unless another process has it. Creates the folder.
    fn lock(&self) -> Result<Option<File>, StorageError> {
        let path = self.folder.join(LOCK);
        fs::create_dir_all(&self.folder)
            .map_err(StorageError::local("make folder", &self.folder))?;
        let opened = File::options()
            .create(true)
            .truncate(false)
            .write(true)
            .open(&path);
        let file = opened.map_err(StorageError::local("write", &path))?;
        match file.try_lock() {
            Ok(()) => Ok(Some(file)),
            Err(TryLockError::WouldBlock) => Ok(None),
            Err(TryLockError::Error(error)) => Err(StorageError::local("lock", path)(error)),
        }
    }

    /// Lists the folder, which must be locked. Removes downloads of killed processes.
    fn inventory(&self) -> Result<Inventory, StorageError> {
        let mut inventory = Inventory::default();
        for name in self.names()? {
            let name = name?;
            let path = self.folder.join(&name);
            match name.to_str().and_then(Kind::of) {
                Some(Kind::Entry) => inventory.add(path),
                Some(Kind::Unfinished { hash, size }) if !remove_unused(&path) => {
                    inventory.unfinished.insert(hash.to_owned());
                    inventory.size = inventory.size.saturating_add(size);
                }
                _ => {}
            }
        }
        Ok(inventory)
    }

    fn names(&self) -> Result<impl Iterator<Item = Result<OsString, StorageError>>, StorageError> {
        let refused = |error| StorageError::local("list", &self.folder)(error);
        let found = match fs::read_dir(&self.folder) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => None,
            found => Some(found.map_err(refused)?),
        };
        let names = found.into_iter().flatten();
        Ok(names.map(move |found| Ok(found.map_err(refused)?.file_name())))
    }
}

/// The result of opening an entry.
enum Opened {
    Locked(File),
    Busy,
    Absent,
}

impl Inventory {
    fn add(&mut self, path: PathBuf) {
        // A file that has just been removed takes no room.
        if let Ok(metadata) = fs::symlink_metadata(&path)
            && metadata.is_file()
        {
            let size = metadata.len();
            let used = metadata.modified().unwrap_or(SystemTime::UNIX_EPOCH);
            self.size = self.size.saturating_add(size);
            self.entries.push(Entry { used, size, path });
        }
    }

    /// Removes the least recently used files, until `excess` bytes are free or all remaining files are
    /// in use. Returns how many bytes it has freed.
    fn evict(mut self, excess: u64) -> u64 {
        self.entries.sort_unstable_by_key(|entry| entry.used);
        let mut freed = 0;
        for entry in self.entries {
            if freed >= excess {
                break;
            }
            if remove_unused(&entry.path) {
                tracing::debug!(path = %entry.path.display(), bytes = entry.size, "input evicted");
                freed += entry.size;
            }
        }
        freed
    }
}

/// Removes a file unless it is in use.
fn remove_unused(path: &Path) -> bool {
    // NFS requires a file to be open for writing to lock it exclusively.
    let file = File::options().read(true).write(true).open(path);
    file.is_ok_and(|file| file.try_lock().is_ok() && fs::remove_file(path).is_ok())
}
