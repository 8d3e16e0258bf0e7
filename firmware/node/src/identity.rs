//! Who the node is: number, keys, settings. In two pages of flash that take turns, so that after a power cut either what
//! was there or what was to be there reads, whole.
//!
//! ```text
//! length 2 | CRC-32 4 | sequence 4 | postcard identity | 0xFF up to the write unit
//! ```

use crate::store::page_bytes;
use crc::{CRC_32_ISO_HDLC, Crc, NoTable};
use embedded_storage::nor_flash::{NorFlash, NorFlashError, NorFlashErrorKind};
use quaywatch_schemas::frame::message::{NewKey, SETTINGS_BYTES};
use serde::{Deserialize, Serialize};

/// Pages of flash that this takes, before those of the store.
pub(crate) const PAGES: u32 = 2;

/// What a node is enrolled with and was told since, besides its settings: they follow it in flash, and are read where they
/// are needed, because a node has no RAM for them twice.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Identity {
    pub(crate) number: u16,
    pub(crate) key: NewKey,
    /// A key that the gateway has not used yet.
    pub(crate) next: Option<NewKey>,
    /// Whether the store is this node's. If not, what it holds is somebody else's and is to be erased.
    pub(crate) has_store: bool,
}

/// Head and the longest identity, in the widest write units.
const MOST: usize = (HEAD + 1 + 3 + 32 + 33 + 1 + 2 + SETTINGS_BYTES).next_multiple_of(32);
const HEAD: usize = 10;
/// Read at a time: the widest read unit that is known.
const PIECE: usize = 32;

pub(crate) type Settings = heapless::Vec<u8, SETTINGS_BYTES>;

const CRC: Crc<u32, NoTable> = Crc::<u32, NoTable>::new(&CRC_32_ISO_HDLC);

/// Reads the newest identity; `None` if the node was never enrolled.
pub(crate) fn read<F: NorFlash>(flash: &mut F) -> Result<Option<Identity>, NorFlashErrorKind> {
    read_with(flash, |identity, _| identity)
}

/// Reads the newest identity and its settings' bytes; none are those that the firmware brings.
#[inline(never)]
pub(crate) fn read_with<F: NorFlash, T>(
    flash: &mut F,
    take: impl FnOnce(Identity, &[u8]) -> T,
) -> Result<Option<T>, NorFlashErrorKind> {
    let Some((page, _)) = newest(flash)? else { return Ok(None) };
    let mut bytes = [0; MOST];
    flash.read(page * page_bytes::<F>(), &mut bytes).map_err(|why| why.kind())?;
    let end = HEAD + usize::from(u16::from_le_bytes([bytes[0], bytes[1]]));
    let body = bytes.get(HEAD..end).unwrap_or_default();
    Ok(match postcard::take_from_bytes(body) {
        Ok(((identity, settings), [])) => Some(take(identity, settings)),
        // A later version's.
        _ => None,
    })
}

/// Changes the identity in flash, or `given` if there is none, and leaves its settings as they are.
#[inline(never)]
pub(crate) fn change<F: NorFlash>(
    flash: &mut F,
    given: Identity,
    change: impl FnOnce(&mut Identity),
) -> Result<(), NorFlashErrorKind> {
    let mut all = Settings::new();
    let found = read_with(flash, |identity, settings| {
        // No settings in flash are longer.
        let _ = all.extend_from_slice(settings);
        identity
    })?;
    let mut identity = found.unwrap_or(given);
    change(&mut identity);
    write(flash, &identity, &all)
}

/// Puts an identity into flash. The one before counts until the new one is whole.
#[inline(never)]
pub(crate) fn write<F: NorFlash>(flash: &mut F, identity: &Identity, settings: &[u8]) -> Result<(), NorFlashErrorKind> {
    let (page, sequence) = match newest(flash)? {
        Some((page, sequence)) => ((page + 1) % PAGES, sequence.wrapping_add(1)),
        None => (0, 0),
    };
    let mut bytes = [0xff; MOST];
    let body = (identity, settings);
    let length = postcard::to_slice(&body, &mut bytes[HEAD..]).map_err(|_| NorFlashErrorKind::OutOfBounds)?.len();
    bytes[..2].copy_from_slice(&(length as u16).to_le_bytes());
    bytes[6..HEAD].copy_from_slice(&sequence.to_le_bytes());
    let crc = CRC.checksum(&bytes[6..HEAD + length]);
    bytes[2..6].copy_from_slice(&crc.to_le_bytes());
    bytes[HEAD + length..].fill(0xff);
    let (from, to) = (page * page_bytes::<F>(), (page + 1) * page_bytes::<F>());
    let size = (HEAD + length).next_multiple_of(F::WRITE_SIZE.max(F::READ_SIZE));
    flash.erase(from, to).map_err(|why| why.kind())?;
    flash.write(from, &bytes[..size]).map_err(|why| why.kind())?;
    // It counts if its checksum is right, which the next boot sees as this does.
    if newest(flash)? == Some((page, sequence)) { Ok(()) } else { Err(NorFlashErrorKind::Other) }
}

/// The page that counts, and its sequence number.
fn newest<F: NorFlash>(flash: &mut F) -> Result<Option<(u32, u32)>, NorFlashErrorKind> {
    let mut newest = None::<(u32, u32)>;
    for page in 0..PAGES {
        if let Some(sequence) = sequence_of(flash, page)?
            && newest.is_none_or(|(_, best)| sequence.wrapping_sub(best) < u32::MAX / 2)
        {
            newest = Some((page, sequence));
        }
    }
    Ok(newest)
}

/// A page's sequence number, if what it holds is whole.
fn sequence_of<F: NorFlash>(flash: &mut F, page: u32) -> Result<Option<u32>, NorFlashErrorKind> {
    let start = page * page_bytes::<F>();
    let mut piece = [0; PIECE];
    flash.read(start, &mut piece).map_err(|why| why.kind())?;
    let [l0, l1, c0, c1, c2, c3, s0, s1, s2, s3, ..] = piece;
    let end = HEAD + usize::from(u16::from_le_bytes([l0, l1]));
    let (crc, sequence) = (u32::from_le_bytes([c0, c1, c2, c3]), u32::from_le_bytes([s0, s1, s2, s3]));
    if end > MOST {
        return Ok(None);
    }
    let mut digest = CRC.digest();
    digest.update(&piece[6..PIECE.min(end)]);
    for at in (PIECE..end).step_by(PIECE) {
        flash.read(start + at as u32, &mut piece).map_err(|why| why.kind())?;
        digest.update(&piece[..PIECE.min(end - at)]);
    }
    Ok((digest.finalize() == crc).then_some(sequence))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::emulation::EmulatedFlash;

    fn identity(number: u16, settings: usize) -> (Identity, Settings) {
        let settings = (0..settings).map(|at| at as u8).collect();
        (Identity { number, key: NewKey([number as u8; 32]), next: None, has_store: true }, settings)
    }

    fn read(flash: &mut EmulatedFlash) -> Option<(Identity, Settings)> {
        read_with(flash, |identity, settings| (identity, Settings::from_slice(settings).unwrap())).unwrap()
    }

    #[test]
    fn what_was_written_last_is_read_however_long_it_is() {
        let mut flash = EmulatedFlash::in_memory(2);
        assert_eq!(read(&mut flash), None);
        for number in 1..9 {
            let (mut longest, settings) = identity(number, SETTINGS_BYTES);
            longest.next = Some(NewKey([9; 32]));
            for (identity, settings) in [identity(number, 0), (longest, settings), identity(number, 77)] {
                write(&mut flash, &identity, &settings).unwrap();
                assert_eq!(read(&mut flash), Some((identity.clone(), settings.clone())));
                change(&mut flash, identity.clone(), |identity| identity.number += 100).unwrap();
                let changed = Identity { number: number + 100, ..identity };
                assert_eq!(read(&mut flash), Some((changed, settings)));
            }
        }
    }

    #[test]
    fn a_power_cut_at_any_operation_leaves_the_former_identity_or_the_new_one() {
        for (cut, seed) in (0..2).flat_map(|cut| (0..200).map(move |seed| (cut, seed))) {
            let flash = EmulatedFlash::in_memory(2);
            let (mut before, mut chip) = (None, flash.clone());
            for number in 1..5 {
                let (wanted, settings) = identity(number, 40 * usize::from(number));
                flash.cut_power_after(cut, seed + u64::from(number) * 1000);
                let done = write(&mut chip, &wanted, &settings);
                assert!(done.is_err(), "power was cut");
                flash.power_on();
                let found = read(&mut chip);
                let wanted = Some((wanted, settings));
                assert!(found == before || found == wanted, "cut {cut}, seed {seed}: {found:?}");
                let (identity, settings) = wanted.as_ref().unwrap();
                write(&mut chip, identity, settings).unwrap();
                before = read(&mut chip);
                assert_eq!(before, wanted, "cut {cut}, seed {seed}");
            }
        }
    }
}
