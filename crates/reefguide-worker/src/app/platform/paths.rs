//! Mistakes in paths: `~`, which only shells expand, and files or broken links in place of folders.

use std::env::home_dir;
use std::ffi::OsStr;
use std::path::{Component, Path};

/// Rejects a path that begins with `~`. The error is the help. A folder that is called `~` can be written as `./~`.
pub(in crate::app) fn refuse_tilde(path: &Path) -> Result<(), String> {
    let mut components = path.components();
    let Some(Component::Normal(first)) = components.next() else {
        return Ok(());
    };
    if !first.as_encoded_bytes().starts_with(b"~") {
        return Ok(());
    }
    Err(match home_dir() {
        Some(home) if first == OsStr::new("~") => {
            let path = home.join(components.as_path());
            format!("write {}, since only a shell expands `~`", path.display())
        }
        _ => "write the whole path, since only a shell expands `~`".into(),
    })
}

/// Why there cannot be a folder at a path. The system's own error says only that a file exists.
pub(in crate::app) fn folder_obstacle(path: &Path) -> Option<String> {
    path.ancestors().find_map(|ancestor| {
        let reason = match (ancestor.metadata(), ancestor.read_link()) {
            (Err(_), Ok(target)) => {
                format!(
                    "is a symbolic link to {}, which is not there",
                    target.display()
                )
            }
            (Ok(metadata), _) if !metadata.is_dir() => "is not a folder".into(),
            _ => return None,
        };
        Some(format!("{} {reason}", ancestor.display()))
    })
}
