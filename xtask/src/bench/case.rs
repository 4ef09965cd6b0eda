//! The files that are moved, and in which direction.

use std::fmt;
use std::fs::{self, File};
use std::io::{self, Write};
use std::path::{Path, PathBuf};

use crate::failure::{Doing, Failure};

/// A number of files of one size.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Load {
    name: &'static str,
    pub(super) files: u64,
    size: u64,
    /// Whether its files are sparse, and take no room on disk.
    sparse: bool,
}

/// The loads of a default run.
const LOADS: [Load; 3] = [
    Load::new("1x1GiB", 1, 1 << 30),
    Load::new("2000x16KiB", 2000, 16 << 10),
    Load::new("20x32MiB", 20, 32 << 20),
];

/// A case only on request: it shows whether memory stays bounded.
const HUGE: Case = Case {
    load: Load {
        sparse: true,
        ..Load::new("1x10GiB", 1, 10 << 30)
    },
    direction: Direction::Up,
};

impl Load {
    const fn new(name: &'static str, files: u64, size: u64) -> Self {
        Self {
            name,
            files,
            size,
            sparse: false,
        }
    }

    /// The sizes of its files together.
    pub(super) fn bytes(self) -> u64 {
        self.files * self.size
    }

    /// Whether the number of its files, rather than of its bytes, takes the time.
    pub(super) fn is_of_many(self) -> bool {
        self.files > 1000
    }

    /// The path that clients move, below `folder`: the folder, or its only file.
    pub(super) fn place(self, folder: &str) -> String {
        match self.files {
            1 => format!("{folder}/{}", file_name(0)),
            _ => folder.to_owned(),
        }
    }

    /// Creates its files below `data` unless they exist, and returns their folder.
    pub(super) fn make(self, data: &Path) -> Result<PathBuf, Failure> {
        let folder = data.join(self.name);
        if self.is_in(&folder) {
            return Ok(folder);
        }
        let made = self.write(&folder);
        made.doing(format_args!("making {}", folder.display()))?;
        Ok(folder)
    }

    /// Whether `folder` has files of its number and size.
    pub(super) fn is_in(self, folder: &Path) -> bool {
        let sizes = || -> io::Result<Vec<u64>> {
            let entries = fs::read_dir(folder)?;
            entries.map(|entry| Ok(entry?.metadata()?.len())).collect()
        };
        sizes().is_ok_and(|sizes| {
            sizes.len() as u64 == self.files && sizes.iter().all(|&size| size == self.size)
        })
    }

    fn write(self, folder: &Path) -> io::Result<()> {
        if folder.exists() {
            fs::remove_dir_all(folder)?;
        }
        fs::create_dir_all(folder)?;
        // The same bytes on every machine, and incompressible.
        let mut block = vec![0; 1 << 20];
        fastrand::Rng::with_seed(self.files).fill(&mut block);
        for number in 0..self.files {
            let mut file = File::create_new(folder.join(file_name(number)))?;
            if self.sparse {
                file.set_len(self.size)?;
                continue;
            }
            let mut left = self.size;
            while left > 0 {
                let most = usize::try_from(left).unwrap_or(usize::MAX).min(block.len());
                file.write_all(&block[..most])?;
                left -= most as u64;
            }
        }
        Ok(())
    }
}

fn file_name(number: u64) -> String {
    format!("{number:05}.bin")
}

/// The direction of a transfer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Direction {
    Up,
    Down,
}

/// A load and its direction.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Case {
    pub(super) load: Load,
    pub(super) direction: Direction,
}

impl Case {
    /// The cases of a default run.
    pub(super) fn all() -> impl Iterator<Item = Self> {
        let both = [Direction::Up, Direction::Down];
        LOADS
            .into_iter()
            .flat_map(move |load| both.map(|direction| Self { load, direction }))
    }

    /// The case of this name.
    pub(super) fn named(name: &str) -> Result<Self, String> {
        let known = || Self::all().chain([HUGE]);
        let found = known().find(|case| case.to_string() == name);
        found.ok_or_else(|| {
            let names: Vec<_> = known().map(|case| case.to_string()).collect();
            format!("must be one of {}", names.join(", "))
        })
    }
}

impl fmt::Display for Case {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let way = match self.direction {
            Direction::Up => "up",
            Direction::Down => "down",
        };
        write!(f, "{}-{way}", self.load.name)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn files_are_made_once_and_again_when_one_is_short() {
        let data = tempfile::tempdir().unwrap();
        let load = Load::new("3x2MiB", 3, 2 << 20);
        let folder = load.make(data.path()).unwrap();
        assert!(load.is_in(&folder));
        let marked = folder.join("00001.bin");
        fs::write(&marked, "short").unwrap();
        assert!(!load.is_in(&folder));
        load.make(data.path()).unwrap();
        assert!(load.is_in(&folder));
    }

    #[test]
    fn a_case_is_found_by_its_name() {
        for case in Case::all().chain([HUGE]) {
            assert_eq!(Case::named(&case.to_string()), Ok(case));
        }
        assert!(Case::named("2x1GiB-up").is_err());
    }
}
