//! The path of a file below a folder or a storage URI.

use std::fmt;
use std::path::{Component, Path, PathBuf};
use std::str::FromStr;

/// The longest key that a store accepts, in bytes of UTF-8.
pub const MAX_KEY_BYTES: usize = 1024;

/// A text is not an [`ObjectPath`].
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("path {path:?} {problem}")]
pub struct PathError {
    /// The text.
    pub path: String,
    /// What is wrong with it, and how to fix it.
    pub problem: &'static str,
}

/// A relative path such as `charts/a.json`, the same on every system and in every store.
///
/// Its components are separated by `/`, and none is empty, `.` or `..`. It has no
/// backslash, no control character (and on Windows no colon), and at most 1,024 bytes. So it always stays below its
/// folder.
///
/// Names that are invalid on Windows (`12:30.nc`, `CON`, a dot or a space at the end) and names that differ
/// only in case are allowed: they are valid where workers run and in every store, and times in file names
/// are common. To download them to such a machine, rename them.
///
/// ```
/// use reefguide_transport::ObjectPath;
///
/// assert_eq!("charts/a.json".parse::<ObjectPath>()?.as_str(), "charts/a.json");
/// assert!("../a.json".parse::<ObjectPath>().is_err());
/// # Ok::<(), reefguide_transport::PathError>(())
/// ```
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ObjectPath(String);

impl ObjectPath {
    /// The path, with `/` between its components.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Converts a relative path with this system's separators.
    pub fn from_relative(relative: &Path) -> Result<Self, PathError> {
        let mut path = String::new();
        for component in relative.components() {
            let Component::Normal(name) = component else {
                return Err(refuse(
                    &relative.to_string_lossy(),
                    "is not below its folder",
                ));
            };
            let name = name.to_str().ok_or_else(|| {
                refuse(
                    &relative.to_string_lossy(),
                    "has a name that is not UTF-8: rename it",
                )
            })?;
            if !path.is_empty() {
                path.push('/');
            }
            path.push_str(name);
        }
        path.parse()
    }

    /// The file's path below `folder`, with this system's separators.
    pub fn below(&self, folder: &Path) -> PathBuf {
        self.0
            .split('/')
            .fold(folder.to_owned(), |path, name| path.join(name))
    }
}

impl FromStr for ObjectPath {
    type Err = PathError;

    fn from_str(path: &str) -> Result<Self, PathError> {
        match problem(path) {
            Some(problem) => Err(refuse(path, problem)),
            None => Ok(Self(path.to_owned())),
        }
    }
}

impl fmt::Display for ObjectPath {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

fn refuse(path: &str, problem: &'static str) -> PathError {
    PathError {
        path: path.to_owned(),
        problem,
    }
}

fn problem(path: &str) -> Option<&'static str> {
    if path.is_empty() {
        return Some("is empty: name a file, such as `charts/a.json`");
    }
    if path.len() > MAX_KEY_BYTES {
        return Some("is longer than 1024 bytes: shorten it");
    }
    if path.contains('\\') {
        return Some("has a backslash: separate folders with `/`");
    }
    if path.chars().any(char::is_control) {
        return Some("has a control character: remove it");
    }
    if path.starts_with('/') {
        return Some("is absolute: name it relative to its folder, without the leading `/`");
    }
    for name in path.split('/') {
        match name {
            "" => {
                return Some(
                    "has an empty component: use one `/` between names and none at the end",
                );
            }
            "." => return Some("has a `.` component: leave it out"),
            ".." => return Some("has a `..` component: it must stay below its folder"),
            _ if name.contains(':') && cfg!(windows) => return Some("has a colon: remove it"),
            _ => {}
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn paths_that_could_leave_their_folder_or_mean_two_things_are_refused() {
        for path in [
            "", "/", "/a", "a/", "a//b", ".", "..", "a/../b", "./a", "a/.", "..\\a", "a\0b",
            "a\nb", "a\u{85}b",
        ] {
            let error = path.parse::<ObjectPath>().unwrap_err().to_string();
            assert!(error.contains(&format!("{path:?}")), "{error}");
        }
        assert!("a".repeat(1024).parse::<ObjectPath>().is_ok());
        assert!("a".repeat(1025).parse::<ObjectPath>().is_err());
    }

    #[test]
    fn dots_inside_a_name_are_fine() {
        for path in ["a.json", ".hidden", "...", "a/..b", "ä/海 図+%2F?#.tif"] {
            assert_eq!(path.parse::<ObjectPath>().unwrap().as_str(), path);
        }
    }

    /// Paths, many of which are almost valid.
    fn paths() -> impl Strategy<Value = String> {
        let name = prop_oneof![
            Just("..".to_owned()),
            Just(".".to_owned()),
            "\\PC{0,3}",
            "[a-z./\\\\]{1,3}",
        ];
        proptest::collection::vec(name, 1..5).prop_map(|names| names.join("/"))
    }

    proptest! {
        #[test]
        fn an_accepted_path_stays_below_its_folder(path in paths()) {
            if let Ok(path) = path.parse::<ObjectPath>() {
                let below = path.below(Path::new("/folder"));
                let relative = below.strip_prefix("/folder").unwrap();
                prop_assert!(relative.components().all(|c| matches!(c, Component::Normal(_))));
                prop_assert_eq!(ObjectPath::from_relative(relative).unwrap(), path);
            }
        }
    }
}
