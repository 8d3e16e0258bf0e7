//! How a sensor node gets new firmware, and how a power cut or a forger does not.
//!
//! An image comes with a [`Manifest`]: for which board, which version, how long, its digest, and an Ed25519 signature over
//! all of that. A node takes nothing of an image before its manifest is [`Genuine`] and acceptable.
//!
//! **This crate does not know how an image travels, nor who may order an update**: the link carries blocks, and the gateway
//! decides.
#![no_std]

#[cfg(test)]
extern crate std;

mod image;

pub use image::{
    Board, Digest, FORMAT, Genuine, KeyId, MAGIC, MANIFEST_BYTES, Malformed, Manifest, PublicKey, Unknown, Unsigned,
    Version, split,
};
#[cfg(feature = "pack")]
pub use image::{pack, public_key};
