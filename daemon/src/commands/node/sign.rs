//! Signed firmware images, and the key that signs them. Nothing here talks to a gateway: the key stays with who builds
//! firmware, on a machine that no gateway can reach.

use super::{Failure, read};
use crate::{commands::secret_key, nodes::images};
use clap::Args;
use quaywatch_sharing::signing::public_key;
use quaywatch_update::{Board, MANIFEST_BYTES, Version, pack};
use std::{
    fs,
    path::{Path, PathBuf},
};

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
        let secret = if self.key.exists() { secret_key::read(&self.key)? } else { secret_key::make(&self.key)? };
        // What firmware is built with.
        println!("{}", public_key(&secret));
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
        let secret = secret_key::read(&self.key)?;
        let manifest = pack(&secret, self.board, Version(self.version), &image);
        let manifest = manifest.ok_or_else(|| said(&self.image, "an image without a byte"))?;
        fs::write(&self.out, [&manifest.to_bytes()[..], &image].concat()).map_err(|why| said(&self.out, why))?;
        let (out, key) = (self.out.display(), public_key(&secret));
        println!("{out}: version {} for {}, {} bytes, signed by {key}", self.version, self.board, image.len());
        Ok(())
    }
}

fn said(path: &Path, why: impl std::fmt::Display) -> Failure {
    Failure(format!("{}: {why}", path.display()))
}
