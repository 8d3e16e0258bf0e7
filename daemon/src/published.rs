//! The published documents, generated from the types.

use std::{io, path::Path};

/// All names, as `quaywatch schema` lists them.
pub fn names() -> Vec<&'static str> {
    todo!()
}

/// One document by name.
pub fn document(name: &str) -> Option<String> {
    let _ = name;
    todo!()
}

/// Writes all of them into a folder.
pub fn write_all(folder: &Path) -> io::Result<()> {
    let _ = folder;
    todo!()
}
