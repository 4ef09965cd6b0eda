//! A folder as a tree.

use std::io;
use std::path::Path;

use super::results::shown;
use super::size::size;
use crate::failure::{Doing, Failure};

/// Draws the files and folders in `folder`, with the sizes of the files.
pub(super) fn tree(folder: &Path) -> Result<String, Failure> {
    let mut text = format!("{}/\n", shown(folder));
    draw(folder, "", &mut text).doing(format_args!("listing {}", shown(folder)))?;
    Ok(text)
}

fn draw(folder: &Path, indent: &str, text: &mut String) -> io::Result<()> {
    let mut entries = std::fs::read_dir(folder)?.collect::<io::Result<Vec<_>>>()?;
    // Names begin with the job's number, and 10 comes after 9.
    entries.sort_by_key(|entry| {
        let name = entry.file_name().to_string_lossy().into_owned();
        let digits = name
            .find(|c: char| !c.is_ascii_digit())
            .unwrap_or(name.len());
        (name[..digits].parse().unwrap_or(u64::MAX), name)
    });
    for (index, entry) in entries.iter().enumerate() {
        let (branch, below) = match index + 1 == entries.len() {
            true => ("└── ", "    "),
            false => ("├── ", "│   "),
        };
        let name = entry.file_name().to_string_lossy().into_owned();
        let metadata = entry.metadata()?;
        if metadata.is_dir() {
            text.push_str(&format!("{indent}{branch}{name}/\n"));
            draw(&entry.path(), &format!("{indent}{below}"), text)?;
        } else {
            let line = format!("{indent}{branch}{name}");
            text.push_str(&format!("{line:<36} {:>9}\n", size(metadata.len())));
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn files_are_drawn_below_their_folders_in_order() {
        let folder = tempfile::tempdir().unwrap();
        for name in ["10-test", "9-test/deep"] {
            std::fs::create_dir_all(folder.path().join(name)).unwrap();
        }
        std::fs::write(folder.path().join("9-test/deep/a.json"), "{}").unwrap();
        std::fs::write(folder.path().join("worker.log"), [0; 2048]).unwrap();
        let drawn = tree(folder.path()).unwrap();
        let (_, drawn) = drawn.split_once('\n').unwrap();
        let expected = "\
├── 9-test/
│   └── deep/
│       └── a.json                         2 B
├── 10-test/
└── worker.log                         2.0 KiB
";
        assert_eq!(drawn, expected);
    }
}
