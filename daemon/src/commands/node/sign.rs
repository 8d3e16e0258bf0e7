//! Signed firmware images, and the key that signs them. Nothing here talks to a gateway: the key stays with who builds
//! firmware, on a machine that no gateway can reach.

use super::{Failure, read};
use crate::nodes::images;
use clap::Args;
use quaywatch_drivers::secret::Secret;
use quaywatch_update::{Board, MANIFEST_BYTES, Version, pack, public_key};
use std::{
    fs,
    io::{ErrorKind, Write},
    os::unix::fs::{MetadataExt, OpenOptionsExt},
    path::{Path, PathBuf},
};
use zeroize::Zeroizing;

/// `quaywatch node signing-key`
#[derive(Debug, Args)]
pub(super) struct SigningKey {
    /// 64 hexadecimal digits; made, for its owner only, if there is no such file
    key: PathBuf,
}

/// `quaywatch node sign`
#[derive(Debug, Args)]
pub(super) struct Sign {
    /// What the board is to run, as its flash holds it: not the ELF file
    image: PathBuf,
    /// The signing key
    #[arg(long)]
    key: PathBuf,
    /// For which board it is: stm32f405, rp2040 or nrf52840
    #[arg(long)]
    board: Board,
    /// The number that the image was built with; nodes take none that is older than what they run
    #[arg(long)]
    version: u32,
    /// Where the signed image goes
    #[arg(long)]
    out: PathBuf,
}

impl SigningKey {
    pub(super) fn run(&self) -> Result<(), Failure> {
        let made = fs::OpenOptions::new().write(true).create_new(true).mode(0o600).open(&self.key);
        match made {
            Ok(mut file) => {
                let mut secret = Zeroizing::new([0; 32]);
                getrandom::fill(secret.as_mut_slice())
                    .map_err(|why| Failure(format!("no randomness from the system: {why}")))?;
                let digits = Zeroizing::new(hex(secret.as_slice()) + "\n");
                file.write_all(digits.as_bytes()).and_then(|()| file.sync_all()).map_err(|why| said(&self.key, why))?;
            }
            Err(why) if why.kind() == ErrorKind::AlreadyExists => {}
            Err(why) => return Err(said(&self.key, why)),
        }
        // What firmware is built with.
        println!("{}", hex(&public_key(&*read_key(&self.key)?)));
        Ok(())
    }
}

impl Sign {
    pub(super) fn run(&self) -> Result<(), Failure> {
        let image = read(&self.image)?;
        if image.starts_with(b"\x7fELF") {
            let why = "an ELF file, which no board runs: objcopy -O binary makes an image of it";
            return Err(said(&self.image, why));
        }
        if image.len() > images::LARGEST - MANIFEST_BYTES {
            return Err(said(&self.image, format!("more than the {} bytes that a node takes", images::LARGEST)));
        }
        let secret = read_key(&self.key)?;
        let manifest = pack(&secret, self.board, Version(self.version), &image);
        let manifest = manifest.ok_or_else(|| said(&self.image, "an image without a byte"))?;
        fs::write(&self.out, [&manifest.to_bytes()[..], &image].concat()).map_err(|why| said(&self.out, why))?;
        let (out, key) = (self.out.display(), hex(&public_key(&secret)));
        println!("{out}: version {} for {}, {} bytes, signed by {key}", self.version, self.board, image.len());
        Ok(())
    }
}

fn read_key(path: &Path) -> Result<Zeroizing<[u8; 32]>, Failure> {
    let mode = fs::metadata(path).map_err(|why| said(path, why))?.mode();
    if mode & 0o077 != 0 {
        return Err(said(path, "others than its owner can read this key: make another, trust this one nowhere"));
    }
    let key = Secret::new(fs::read_to_string(path).map_err(|why| said(path, why))?).as_key();
    key.map(Zeroizing::new).ok_or_else(|| said(path, "a key is 64 hexadecimal digits"))
}

fn said(path: &Path, why: impl std::fmt::Display) -> Failure {
    Failure(format!("{}: {why}", path.display()))
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}
