//! Firmware images that nodes are to run: one file each in the folder `node-images`, under its digest, until no node needs
//! it any more.

use crate::ledger::replace;
use std::{
    fs,
    path::{Path, PathBuf},
};
use tokio::task::spawn_blocking;

/// The largest image file there may be: twice what the largest board has room for.
pub const LARGEST: usize = 1 << 20;

/// Puts an image on disk.
pub(super) async fn keep(state: PathBuf, digest: String, file: Vec<u8>) -> Result<(), String> {
    let kept = spawn_blocking(move || {
        let path = path(&state, &digest);
        fs::create_dir_all(path.parent().unwrap_or(&state)).map_err(|why| why.to_string())?;
        replace(&path, &file).map_err(|why| why.to_string())
    });
    kept.await.map_err(|why| why.to_string()).flatten().map_err(|why| format!("the image cannot be kept: {why}"))
}

/// Reads an image; it must still be what its name says.
pub(super) async fn read(state: PathBuf, digest: String) -> Result<Vec<u8>, String> {
    let read = spawn_blocking(move || {
        let file = fs::read(path(&state, &digest)).map_err(|why| why.to_string())?;
        if blake3::hash(&file).to_hex().as_str() == digest { Ok(file) } else { Err("it is damaged".to_owned()) }
    });
    read.await.map_err(|why| why.to_string()).flatten().map_err(|why| format!("the kept image cannot be read: {why}"))
}

/// Deletes an image that no node needs any more. One that stays costs room and nothing else.
pub(super) async fn forget(state: PathBuf, digest: String) {
    let _ = spawn_blocking(move || fs::remove_file(path(&state, &digest))).await;
}

fn path(state: &Path, digest: &str) -> PathBuf {
    state.join("node-images").join(digest)
}
