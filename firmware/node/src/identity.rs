//! Who the node is: number, keys, settings. In two pages of flash that take turns, so that after a power cut either what
//! was there or what was to be there reads, whole.
//!
//! ```text
//! length 2 | CRC-32 4 | sequence 4 | postcard identity | 0xFF up to the write unit
//! ```

use crate::store::page_bytes;
use crc::{CRC_32_ISO_HDLC, Crc, NoTable};
use embedded_storage::nor_flash::{NorFlash, NorFlashError, NorFlashErrorKind};
use heapless::Vec;
use quaywatch_schemas::frame::message::{NewKey, SETTINGS_BYTES};
use serde::{Deserialize, Serialize};

/// Pages of flash that this takes, before those of the store.
pub(crate) const PAGES: u32 = 2;

/// What a node is enrolled with and was told since.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Identity {
    pub(crate) number: u16,
    pub(crate) key: NewKey,
    /// A key that the gateway has not used yet.
    pub(crate) next: Option<NewKey>,
    /// Whether the store is this node's. If not, what it holds is somebody else's and is to be erased.
    pub(crate) has_store: bool,
    /// Empty: those that the firmware brings.
    pub(crate) settings: Vec<u8, SETTINGS_BYTES>,
}

/// Head and the longest identity, in the widest write units.
const MOST: usize = (HEAD + 1 + 3 + 32 + 33 + 1 + 2 + SETTINGS_BYTES).next_multiple_of(32);
const HEAD: usize = 10;

const CRC: Crc<u32, NoTable> = Crc::<u32, NoTable>::new(&CRC_32_ISO_HDLC);

/// Reads the newest identity; `None` if the node was never enrolled.
pub(crate) fn read<F: NorFlash>(flash: &mut F) -> Result<Option<Identity>, NorFlashErrorKind> {
    let Some((page, _)) = newest(flash)? else { return Ok(None) };
    let bytes = page_at(flash, page)?;
    Ok(body(&bytes).and_then(|body| match postcard::take_from_bytes(body) {
        Ok((identity, [])) => Some(identity),
        // A later version's.
        _ => None,
    }))
}

/// Puts an identity into flash. The one before counts until the new one is whole.
pub(crate) fn write<F: NorFlash>(flash: &mut F, identity: &Identity) -> Result<(), NorFlashErrorKind> {
    let (page, sequence) = match newest(flash)? {
        Some((page, sequence)) => ((page + 1) % PAGES, sequence.wrapping_add(1)),
        None => (0, 0),
    };
    let mut bytes = [0xff; MOST];
    let length = postcard::to_slice(identity, &mut bytes[HEAD..]).map_err(|_| NorFlashErrorKind::OutOfBounds)?.len();
    bytes[..2].copy_from_slice(&(length as u16).to_le_bytes());
    bytes[6..HEAD].copy_from_slice(&sequence.to_le_bytes());
    let crc = CRC.checksum(&bytes[6..HEAD + length]);
    bytes[2..6].copy_from_slice(&crc.to_le_bytes());
    bytes[HEAD + length..].fill(0xff);
    let (from, to) = (page * page_bytes::<F>(), (page + 1) * page_bytes::<F>());
    let size = (HEAD + length).next_multiple_of(F::WRITE_SIZE.max(F::READ_SIZE));
    flash.erase(from, to).map_err(|why| why.kind())?;
    flash.write(from, &bytes[..size]).map_err(|why| why.kind())?;
    if page_at(flash, page)? == bytes { Ok(()) } else { Err(NorFlashErrorKind::Other) }
}

/// The page that counts, and its sequence number.
fn newest<F: NorFlash>(flash: &mut F) -> Result<Option<(u32, u32)>, NorFlashErrorKind> {
    let mut newest = None::<(u32, u32)>;
    for page in 0..PAGES {
        let bytes = page_at(flash, page)?;
        let sequence = u32::from_le_bytes([bytes[6], bytes[7], bytes[8], bytes[9]]);
        if body(&bytes).is_some() && newest.is_none_or(|(_, best)| sequence.wrapping_sub(best) < u32::MAX / 2) {
            newest = Some((page, sequence));
        }
    }
    Ok(newest)
}

fn page_at<F: NorFlash>(flash: &mut F, page: u32) -> Result<[u8; MOST], NorFlashErrorKind> {
    let mut bytes = [0; MOST];
    flash.read(page * page_bytes::<F>(), &mut bytes).map_err(|why| why.kind())?;
    Ok(bytes)
}

/// What a page holds, if it is whole.
fn body(bytes: &[u8; MOST]) -> Option<&[u8]> {
    let end = HEAD + usize::from(u16::from_le_bytes([bytes[0], bytes[1]]));
    let crc = u32::from_le_bytes([bytes[2], bytes[3], bytes[4], bytes[5]]);
    (CRC.checksum(bytes.get(6..end)?) == crc).then(|| &bytes[HEAD..end])
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::emulation::EmulatedFlash;

    fn identity(number: u16, settings: usize) -> Identity {
        let settings = (0..settings).map(|at| at as u8).collect();
        Identity { number, key: NewKey([number as u8; 32]), next: None, has_store: true, settings }
    }

    #[test]
    fn what_was_written_last_is_read_however_long_it_is() {
        let mut flash = EmulatedFlash::in_memory(2);
        assert_eq!(read(&mut flash), Ok(None));
        for number in 1..9 {
            let longest = Identity { next: Some(NewKey([9; 32])), ..identity(number, SETTINGS_BYTES) };
            for identity in [identity(number, 0), longest, identity(number, 77)] {
                write(&mut flash, &identity).unwrap();
                assert_eq!(read(&mut flash), Ok(Some(identity)));
            }
        }
    }

    #[test]
    fn a_power_cut_at_any_operation_leaves_the_former_identity_or_the_new_one() {
        for (cut, seed) in (0..2).flat_map(|cut| (0..200).map(move |seed| (cut, seed))) {
            let flash = EmulatedFlash::in_memory(2);
            let (mut before, mut chip) = (None, flash.clone());
            for number in 1..5 {
                let wanted = identity(number, 40 * usize::from(number));
                flash.cut_power_after(cut, seed + u64::from(number) * 1000);
                let done = write(&mut chip, &wanted);
                assert!(done.is_err(), "power was cut");
                flash.power_on();
                let found = read(&mut chip).unwrap();
                assert!(found == before || found.as_ref() == Some(&wanted), "cut {cut}, seed {seed}: {found:?}");
                write(&mut chip, &wanted).unwrap();
                before = read(&mut chip).unwrap();
                assert_eq!(before.as_ref(), Some(&wanted), "cut {cut}, seed {seed}");
            }
        }
    }
}
