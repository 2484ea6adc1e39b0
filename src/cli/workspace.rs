//! Where `dev` and `demo` keep their data.

use std::path::{Path, PathBuf};

use crate::base::rng::Rng;
use crate::cli::error::{CliError, Result};

/// A folder for an agent's data; a temporary one disappears with this value.
#[derive(Debug)]
pub struct Workspace {
    path: PathBuf,
    temporary: bool,
}

impl Workspace {
    /// `data` if given, else a fresh temporary folder. Made when missing.
    ///
    /// # Errors
    /// When the folder can not be made.
    pub fn open(data: Option<&Path>, rng: &Rng) -> Result<Self> {
        let (path, temporary) = match data {
            Some(path) => (path.to_owned(), false),
            None => (std::env::temp_dir().join(format!("towpath-{}", rng.uuid().simple())), true),
        };
        std::fs::create_dir_all(&path).and_then(|()| path.canonicalize()).map_or_else(
            |error| Err(CliError::Usage(format!("folder {} can not be made ({error}); see --data", path.display()))),
            |path| Ok(Self { path, temporary }),
        )
    }

    /// Where it is.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Whether it disappears.
    #[must_use]
    pub fn is_temporary(&self) -> bool {
        self.temporary
    }

    /// Its URL as an object store.
    ///
    /// # Errors
    /// When the path can not be a URL.
    pub fn url(&self) -> Result<String> {
        url::Url::from_directory_path(&self.path).map(String::from).map_err(|()| {
            CliError::Usage(format!("folder {} can not be written as a URL; see --data", self.path.display()))
        })
    }
}

impl Drop for Workspace {
    fn drop(&mut self) {
        if self.temporary
            && let Err(error) = std::fs::remove_dir_all(&self.path)
        {
            tracing::warn!(path = %self.path.display(), %error, "the temporary folder is left behind");
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_temporary_folder_disappears_and_a_named_one_stays() {
        let rng = Rng::from_seed(1);
        let temporary = Workspace::open(None, &Rng::from_entropy()).unwrap();
        let path = temporary.path().to_owned();
        std::fs::write(path.join("file"), b"x").unwrap();
        assert!(temporary.url().unwrap().starts_with("file:///"));
        drop(temporary);
        assert!(!path.exists());

        let parent = tempfile::tempdir().unwrap();
        let named = Workspace::open(Some(&parent.path().join("a/b")), &rng).unwrap();
        let path = named.path().to_owned();
        drop(named);
        assert!(path.exists());
    }
}
