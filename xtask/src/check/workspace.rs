//! What cargo knows of the workspace.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::Command;

use serde::Deserialize;

use crate::failure::{Doing, Failure};

/// The part of `cargo metadata` that the checks read.
#[derive(Debug, Deserialize)]
pub(crate) struct Workspace {
    #[serde(rename = "workspace_root")]
    pub(crate) root: PathBuf,
    pub(crate) target_directory: PathBuf,
    pub(crate) packages: Vec<Package>,
}

#[derive(Debug, Deserialize)]
pub(crate) struct Package {
    pub(crate) name: String,
    pub(crate) manifest_path: PathBuf,
    dependencies: Vec<Dependency>,
    features: BTreeMap<String, Vec<String>>,
    /// Where it may be published; nowhere if this is empty.
    publish: Option<Vec<String>>,
    targets: Vec<Target>,
}

#[derive(Debug, Deserialize)]
struct Dependency {
    name: String,
    kind: Option<String>,
    path: Option<PathBuf>,
}

#[derive(Debug, Deserialize)]
struct Target {
    kind: Vec<String>,
    src_path: PathBuf,
}

impl Workspace {
    /// Asks cargo, offline.
    pub(crate) fn read(root: &Path) -> Result<Self, Failure> {
        let cargo = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
        let said = Command::new(cargo)
            .args([
                "metadata",
                "--no-deps",
                "--offline",
                "--format-version",
                "1",
            ])
            .current_dir(root)
            .output()
            .doing("starting cargo metadata")?;
        if !said.status.success() {
            let stderr = String::from_utf8_lossy(&said.stderr);
            return Err(Failure::new(format!("cargo metadata failed: {stderr}")));
        }
        serde_json::from_slice(&said.stdout).doing("reading cargo metadata")
    }

    /// The packages in `crates`.
    pub(crate) fn crates(&self) -> impl Iterator<Item = &Package> {
        let crates = self.root.join("crates");
        self.packages
            .iter()
            .filter(move |package| package.manifest_path.starts_with(&crates))
    }

    /// The libraries that others can depend on.
    pub(crate) fn published_libraries(&self) -> impl Iterator<Item = &Package> {
        self.crates().filter(|package| {
            package.library().is_some() && package.publish.as_ref().is_none_or(|to| !to.is_empty())
        })
    }

    /// A path as it is written from the root.
    pub(crate) fn short(&self, path: &Path) -> String {
        path.strip_prefix(&self.root)
            .unwrap_or(path)
            .display()
            .to_string()
    }
}

impl Package {
    pub(crate) fn folder(&self) -> &Path {
        self.manifest_path.parent().unwrap_or(&self.manifest_path)
    }

    /// The packages of this workspace that it needs to be built, sorted.
    pub(crate) fn own_dependencies(&self) -> Vec<&str> {
        let mut names: Vec<_> = self
            .dependencies
            .iter()
            .filter(|dependency| dependency.kind.is_none() && dependency.path.is_some())
            .map(|dependency| dependency.name.as_str())
            .collect();
        names.sort_unstable();
        names
    }

    /// Its features, as `package/feature`.
    pub(crate) fn features(&self) -> impl Iterator<Item = String> {
        self.features
            .keys()
            .map(|feature| format!("{}/{feature}", self.name))
    }

    /// The root files of library and programs.
    pub(crate) fn roots(&self) -> impl Iterator<Item = &Path> {
        self.targets
            .iter()
            .filter(|target| {
                target
                    .kind
                    .iter()
                    .any(|kind| kind == "lib" || kind == "bin")
            })
            .map(|target| target.src_path.as_path())
    }

    /// The root file of the library.
    pub(crate) fn library(&self) -> Option<&Path> {
        self.targets
            .iter()
            .find(|target| target.kind.iter().any(|kind| kind == "lib"))
            .map(|target| target.src_path.as_path())
    }
}
