//! Why embassy-boot's state is not on plain flash. Should this test fail one day, the record's half of it can go.

use crate::chip::{Chip, Noise, Part};
use embassy_boot::{BlockingFirmwareState, BootLoader, BootLoaderConfig};
use embedded_storage::nor_flash::NorFlash;

const ERASE: usize = 1024;
const N: usize = 3;

#[test]
fn state_on_plain_flash_can_end_in_a_mix_of_two_images() {
    let (old, new) = (Noise(1).bytes(N * ERASE), Noise(2).bytes(N * ERASE));
    let chip = Chip::blank((2 * N + 2) * ERASE);
    let active = Part::<4, ERASE>::of(&chip, 0, N * ERASE);
    let next = Part::<4, ERASE>::of(&chip, N * ERASE, (N + 1) * ERASE);
    let mut state = Part::<4, ERASE>::of(&chip, (2 * N + 1) * ERASE, ERASE);
    active.damage(|content| content.copy_from_slice(&old));
    next.damage(|content| content[..new.len()].copy_from_slice(&new));
    let boot = |state: &Part<4, ERASE>| {
        let (active, dfu, state) = (active.clone(), next.clone(), state.clone());
        BootLoader::new(BootLoaderConfig { active, dfu, state }).prepare_boot(&mut [0; 256])
    };
    BlockingFirmwareState::new(state.clone(), &mut [0; 4]).mark_updated().unwrap();
    boot(&state).unwrap();
    assert_eq!(active.content(), new);
    // The new image confirms itself; power goes while its state is erased, when the cells of the magic, which are erased in
    // no order, are the only ones left.
    let magic: [u8; 4] = state.content()[..4].try_into().unwrap();
    state.erase(0, ERASE as u32).unwrap();
    state.write(0, &magic).unwrap();
    boot(&state).unwrap();
    assert!(active.content() != old && active.content() != new);
}
