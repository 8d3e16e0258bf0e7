//! How a sensor node gets new firmware, and how a power cut or a forger does not.
//!
//! An image comes with a [`Manifest`]: for which board, which version, how long, its digest, and an Ed25519 signature over
//! all of that. The node takes nothing of an image before its manifest is [`Genuine`] and acceptable (`Update::begin`).
//! Then blocks come one after another, as often as the line needs, and survive power cuts (`Update::block`). When all are
//! there, the digest is computed from what flash really holds, and the image is marked (`Update::finish`). At the next
//! reset the bootloader (`prepare`) swaps it with the one that ran. That is a trial: only an image that tested itself and
//! heard its gateway stays (`Update::turn`); otherwise the next reset, whatever its cause, brings the former one back.
//!
//! Swapping and going back is [embassy-boot](https://docs.rs/embassy-boot)'s. What it keeps of its progress is in a record
//! of ours, which is replaced as a whole or not at all, together with the floor and what was received. On plain flash its
//! state can end in a mix of two images: erased while power goes, "swapped" may read as "swap". A test shows it.
//!
//! Versions do not fall: the **floor** is in flash, goes up in the same record that confirms an image, and an image below it
//! is refused, however well it is signed.
//!
//! # Where it lies in flash
//!
//! The active slot is `n` erase units; the next slot must be exactly `n + 1`, since swapping needs one unit to move things
//! through; the state must be two or more: while one is erased the record is in the other. All are whole erase units, so the
//! sectors of the chip decide what an update costs:
//!
//! | chip | erase units | active | next | state | left for node and outbox |
//! | --- | --- | --- | --- | --- | --- |
//! | STM32F405, 1 MiB | 4 x 16, 64, 7 x 128 KiB | 1 x 128 KiB | 2 x 128 KiB | 2 x 128 KiB | 3 x 16, 64, 2 x 128 KiB |
//! | RP2040, external 2 MiB | 4 KiB | 480 KiB | 484 KiB | 8 KiB | 1 MiB |
//! | nRF52840, 1 MiB | 4 KiB | 416 KiB | 420 KiB | 8 KiB | 128 KiB |
//!
//! Each has 16 to 32 KiB for the bootloader besides: sector 0 of the STM32F405, whose vector table the chip wants there.
//!
//! **STM32F405.** Slots have to be of equal units, and only the seven sectors of 128 KiB are. One is enough for an image (the
//! bound is 96 KiB), and then active, next and state take five of the seven. An image of more than 128 KiB needs two, three
//! and two: all seven, and the outbox is left with 48 KiB in sectors 1 to 3. Beyond that, or where a node must not stand
//! still while a sector is erased (1 s, 2 s at most by the data sheet; one per 128 KiB received, and two more before a swap
//! is done), next slot, state or outbox have to go to an external NOR chip on SPI with sectors of 4 KiB. Erase units of both
//! slots must be equal here: say 128 KiB for that chip as well.
//!
//! **RP2040.** Flash is external anyway; nothing runs from it while it is erased or written, so the code that does has to be
//! in RAM (embassy-rp's is). No other NOR is needed.
//!
//! **nRF52840.** No external NOR is needed.
//!
//! After a power cut in the middle of a block's write, and only then, the erase unit that the block is in begins anew: 4 KiB
//! come again, but 128 KiB on the STM32F405. Otherwise no more than one block does. Received blocks leave no mark of their
//! own; erased units do: a unit that reads blank after a power cut need not be.
//!
//! # Size
//!
//! With opt-level `s`, LTO and stub flash drivers, built for an STM32F405: what a node needs takes 21 KB, what a bootloader
//! needs 2.2 KB. That is with `--cfg sha2_backend="soft" --cfg sha2_backend_soft="compact"` in the target's rustflags:
//! without them SHA-512 is unrolled and takes 26 KB more, which no image of at most 96 KiB has room for.
//!
//! # Wear
//!
//! An update erases each unit of both slots at most twice, one that is reverted three times. The record costs 32 bytes per
//! unit received or copied: about two erasures of the state of an RP2040, four with going back, none as a rule on an
//! STM32F405. Flash is rated for 10,000 erasures: an update every day for ten years.
//!
//! # What it does not protect from
//!
//! Who can write the chip's flash can write anything into it: the bootloader starts what is in the active slot and verifies
//! no signature. Chips with read-out protection have it against that.
//!
//! **This crate does not know how an image travels, nor who may order an update**: the link carries blocks, and the gateway
//! decides.
#![no_std]

#[cfg(test)]
extern crate std;

#[cfg(feature = "flash")]
mod boot;
mod image;
#[cfg(feature = "flash")]
mod record;
#[cfg(feature = "flash")]
mod update;

#[cfg(feature = "flash")]
pub use boot::{Fault, Started, prepare};
pub use image::{
    Board, Digest, FORMAT, Genuine, KeyId, MAGIC, MANIFEST_BYTES, Malformed, Manifest, PublicKey, Unknown, Unsigned,
    Version, split,
};
#[cfg(feature = "pack")]
pub use image::{pack, public_key};
#[cfg(feature = "flash")]
pub use update::{Finish, Next, Node, Refusal, State, TRIAL_MS, Update};

/// Bytes of a block: every one but the last has exactly so many. It divides every erase unit, so that no block lies in two,
/// and fits into a transfer of the node link.
pub const BLOCK_BYTES: usize = 128;
