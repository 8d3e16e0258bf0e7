//! Secret Ed25519 keys of people, as files: 64 hexadecimal digits that only their owner can read.

use super::Failure;
use quaywatch_drivers::secret::Secret;
use std::{
    fs::{self, OpenOptions},
    io::Write,
    os::unix::fs::{MetadataExt, OpenOptionsExt},
    path::Path,
};
use zeroize::Zeroizing;

/// Makes one; a file that is there is never written over.
pub(super) fn make(path: &Path) -> Result<Zeroizing<[u8; 32]>, Failure> {
    let mut secret = Zeroizing::new([0; 32]);
    getrandom::fill(secret.as_mut_slice()).map_err(|why| Failure(format!("no randomness from the system: {why}")))?;
    let digits: Zeroizing<String> = Zeroizing::new(secret.iter().map(|byte| format!("{byte:02x}")).collect());
    let file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(path);
    let written = file.and_then(|mut file| writeln!(file, "{}", *digits).and_then(|()| file.sync_all()));
    written.map_err(|why| Failure(format!("{} cannot be written: {why}", path.display())))?;
    Ok(secret)
}

/// Reads one that nobody else can read.
pub(super) fn read(path: &Path) -> Result<Zeroizing<[u8; 32]>, Failure> {
    let cannot = |why: &dyn std::fmt::Display| Failure(format!("{}: {why}", path.display()));
    let mode = fs::metadata(path).map_err(|why| cannot(&why))?.mode();
    if mode & 0o077 != 0 {
        return Err(cannot(&"others than its owner can read this key: make another, trust this one nowhere"));
    }
    let key = Secret::new(fs::read_to_string(path).map_err(|why| cannot(&why))?).as_key();
    key.map(Zeroizing::new).ok_or_else(|| cannot(&"a key is 64 hexadecimal digits"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::PermissionsExt;

    #[test]
    fn a_key_is_its_owners_alone_and_is_never_written_over() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("ada.key");
        let made = make(&path).unwrap();
        assert_eq!(fs::metadata(&path).unwrap().mode() & 0o777, 0o600);
        assert_eq!(*read(&path).unwrap(), *made);
        assert!(make(&path).is_err());
        assert_eq!(*read(&path).unwrap(), *made);
        fs::set_permissions(&path, fs::Permissions::from_mode(0o640)).unwrap();
        assert!(read(&path).unwrap_err().0.contains("others than its owner"));
    }
}
