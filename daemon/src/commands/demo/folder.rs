//! A folder for one demonstration, gone when it ends.

use std::{
    fs::{self, DirBuilder, OpenOptions},
    io::{self, Write},
    os::unix::fs::{DirBuilderExt, OpenOptionsExt},
    path::{Path, PathBuf},
};

/// A folder that only we can read.
#[derive(Debug)]
pub(super) struct Folder(PathBuf);

impl Folder {
    /// A new one among the system's temporary files.
    pub(super) fn new() -> io::Result<Self> {
        let mut bytes = [0; 4];
        getrandom::fill(&mut bytes).map_err(io::Error::other)?;
        let path = std::env::temp_dir().join(format!("quaywatch-demo-{:08x}", u32::from_le_bytes(bytes)));
        // Fails if it exists: somebody else's folder is not ours to write into.
        DirBuilder::new().mode(0o700).create(&path).map_err(|why| in_words(&path, &why))?;
        Ok(Self(path))
    }

    /// A path within it.
    pub(super) fn path(&self, name: &str) -> PathBuf {
        self.0.join(name)
    }

    /// Writes a file that only we can read, and the folders above it.
    pub(super) fn write(&self, name: &str, content: &str) -> io::Result<()> {
        let path = self.path(name);
        if let Some(parent) = path.parent() {
            DirBuilder::new().mode(0o700).recursive(true).create(parent).map_err(|why| in_words(parent, &why))?;
        }
        let file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(&path);
        file.and_then(|mut file| file.write_all(content.as_bytes())).map_err(|why| in_words(&path, &why))
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        // What cannot be removed is the system's to clear away, as all temporary files are.
        let _ = fs::remove_dir_all(&self.0);
    }
}

fn in_words(path: &Path, why: &io::Error) -> io::Error {
    io::Error::new(why.kind(), format!("{} cannot be written: {why}", path.display()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::PermissionsExt;

    #[test]
    fn secrets_are_ours_alone_and_gone_afterwards() {
        let folder = Folder::new().unwrap();
        folder.write("credentials/node-1", "secret").unwrap();
        let file = folder.path("credentials/node-1");
        assert_eq!(fs::metadata(&file).unwrap().permissions().mode() & 0o777, 0o600);
        assert_eq!(fs::metadata(folder.path("credentials")).unwrap().permissions().mode() & 0o077, 0);
        let path = folder.path("");
        drop(folder);
        assert!(!path.exists());
    }
}
