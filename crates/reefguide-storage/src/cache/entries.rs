//! The folder of a cache: what its files are called, who holds which, and what has to go. All of this waits
//! for the file system.
//!
//! | file | lock |
//! | --- | --- |
//! | `{hash}-{name}`: an object | shared by those who use it; exclusive to remove it |
//! | `.unfinished-{hash}-{size}-{random}`: a download | exclusive, by who writes it |
//! | `.lock` | exclusive, by who makes or removes one of the others |
//!
//! So a file that can be locked belongs to nobody, and a download whose process was killed is known by it.
//! Nothing is flushed to disk: what a killed process has written the system still has.

use std::collections::HashSet;
use std::ffi::OsString;
use std::fs::{self, File, TryLockError};
use std::io;
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::time::SystemTime;

use sha2::{Digest, Sha256};
use tempfile::{Builder, NamedTempFile};

use super::InputFile;
use crate::{ObjectInfo, StorageError, StorageUri};
use reefguide_transport::atomic_file::UNFINISHED;
use reefguide_transport::hex::hex;

const LOCK: &str = ".lock";
/// How many bytes of a digest make a name, in two digits each.
const HASH: usize = 16;
/// How much of a key is shown in a name.
const SHOWN: usize = 100;

/// A version of an object.
#[derive(Clone)]
pub(super) struct Version {
    hash: String,
    name: String,
    size: u64,
}

impl Version {
    /// `None` if its store does not tell versions apart.
    pub(super) fn new(object: &ObjectInfo) -> Option<Self> {
        let etag = object.etag.as_deref()?;
        // No URI has a line break, so no two pairs are one text.
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

/// The end of a key, as far as it is safe in a file's name everywhere.
pub(super) fn shown_name(uri: &StorageUri) -> String {
    let plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '_' | '-');
    let last = uri.key().rsplit('/').next().unwrap_or_default();
    let name: String = last
        .chars()
        .map(|c| if plain(c) { c } else { '_' })
        .collect();
    name[name.len().saturating_sub(SHOWN)..].to_owned()
}

/// What a file's name says of it.
enum Kind<'a> {
    Entry,
    Unfinished { hash: &'a str, size: u64 },
}

impl<'a> Kind<'a> {
    /// `None` for files of others.
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

/// A file that is being downloaded, locked. It is removed when dropped.
pub(super) struct Unfinished(NamedTempFile);

impl Unfinished {
    pub(super) fn path(&self) -> &Path {
        self.0.path()
    }
}

/// What a look found.
pub(super) enum Found {
    /// The version, locked.
    Entry(File),
    /// A place to download it to.
    Place(Unfinished),
    /// No room for it.
    NoRoom,
}

#[derive(Debug)]
pub(super) struct Entries {
    folder: PathBuf,
    limit: u64,
}

/// What is in the folder.
#[derive(Default)]
struct Content {
    entries: Vec<Entry>,
    /// The hashes of what is being downloaded.
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

    /// Tries whether files can be made and locked here, and tidies up unless another is at it.
    pub(super) fn prepare(&self) -> Result<(), StorageError> {
        let locked = self.lock()?;
        tempfile::tempfile_in(&self.folder)
            .map_err(StorageError::local("write in", &self.folder))?;
        if locked.is_some() {
            let content = self.content()?;
            let excess = content.size.saturating_sub(self.limit);
            content.evict(excess);
        }
        Ok(())
    }

    /// Looks for a version; `None` while another has it or the folder in hand.
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
        // It may have come just now.
        match self.open(version)? {
            Opened::Locked(file) => return Ok(Some(Found::Entry(file))),
            Opened::Busy => return Ok(None),
            Opened::Absent => {}
        }
        let content = self.content()?;
        if content.unfinished.contains(&version.hash) {
            return Ok(None);
        }
        let excess = content.size.saturating_add(version.size);
        let excess = excess.saturating_sub(self.limit);
        if content.evict(excess) < excess {
            return Ok(Some(Found::NoRoom));
        }
        let unfinished = Builder::new()
            .prefix(&format!("{UNFINISHED}{}-{}-", version.hash, version.size))
            // Readable by whom the umask allows, like any file a program writes.
            .permissions(fs::Permissions::from_mode(0o666))
            .tempfile_in(&self.folder)
            .map_err(StorageError::local("write in", &self.folder))?;
        // One who looks whether it is under way may hold it for a moment.
        let locked = unfinished.as_file().lock();
        locked.map_err(StorageError::local("lock", unfinished.path()))?;
        Ok(Some(Found::Place(Unfinished(unfinished))))
    }

    /// Gives a download its name, and keeps it as one who uses it; `None` while another has the folder in
    /// hand. The inner `None`: it could not be kept.
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
        self.content()?.evict(bytes);
        Ok(Some(()))
    }

    /// Whether another downloads the version, as far as can be told without locking the folder.
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

    /// Keeps an entry from being removed.
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
            // Removed or replaced before it was locked.
            if (held.dev(), held.ino()) != (there.dev(), there.ino()) {
                return Ok(Opened::Busy);
            }
            // Damaged: it is replaced.
            if held.len() != version.size {
                return Ok(Opened::Absent);
            }
            // Whoever does not own the file may not; then it seems older than it is.
            let _ = file.set_modified(SystemTime::now());
            Ok(Opened::Locked(file))
        };
        match opened() {
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(Opened::Absent),
            opened => opened.map_err(StorageError::local("read", &place)),
        }
    }

    /// The lock on the folder, unless another has it. Makes the folder.
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

    /// What is here, without the downloads that were broken off, which are removed. The folder has to be
    /// locked.
    fn content(&self) -> Result<Content, StorageError> {
        let mut content = Content::default();
        for name in self.names()? {
            let name = name?;
            let path = self.folder.join(&name);
            match name.to_str().and_then(Kind::of) {
                Some(Kind::Entry) => content.add(path),
                Some(Kind::Unfinished { hash, size }) if !remove_unused(&path) => {
                    content.unfinished.insert(hash.to_owned());
                    content.size = content.size.saturating_add(size);
                }
                _ => {}
            }
        }
        Ok(content)
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

/// What came of opening an entry.
enum Opened {
    Locked(File),
    Busy,
    Absent,
}

impl Content {
    fn add(&mut self, path: PathBuf) {
        // What somebody else removes takes no room.
        if let Ok(metadata) = fs::symlink_metadata(&path)
            && metadata.is_file()
        {
            let size = metadata.len();
            let used = metadata.modified().unwrap_or(SystemTime::UNIX_EPOCH);
            self.size = self.size.saturating_add(size);
            self.entries.push(Entry { used, size, path });
        }
    }

    /// Removes what was not used for the longest time, until `excess` bytes are gone or all that is left is
    /// in use. Returns how many bytes went.
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

/// Removes a file unless somebody holds it.
fn remove_unused(path: &Path) -> bool {
    // NFS wants a file open for writing to lock it exclusively.
    let file = File::options().read(true).write(true).open(path);
    file.is_ok_and(|file| file.try_lock().is_ok() && fs::remove_file(path).is_ok())
}
