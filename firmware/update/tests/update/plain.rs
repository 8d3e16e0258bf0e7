//! Why embassy-boot's state is not on plain flash. Should this test fail one day, the record's half of it can go.

use crate::chip::{Chip, Noise, Part};
use embassy_boot::{BlockingFirmwareState, BootLoader, BootLoaderConfig};

const ERASE: usize = 1024;
const N: usize = 3;

#[test]
fn state_on_plain_flash_can_end_in_a_mix_of_two_images() {
    let (old, new) = (Noise(1).bytes(N * ERASE), Noise(2).bytes(N * ERASE));
    let mixed = (0..200).filter(|seed| {
        let chip = Chip::blank((2 * N + 2) * ERASE);
        let active = Part::<4, ERASE>::of(&chip, 0, N * ERASE);
        let next = Part::<4, ERASE>::of(&chip, N * ERASE, (N + 1) * ERASE);
        let state = Part::<4, ERASE>::of(&chip, (2 * N + 1) * ERASE, ERASE);
        active.damage(|content| content.copy_from_slice(&old));
        next.damage(|content| content[..new.len()].copy_from_slice(&new));
        let boot = || {
            let (active, dfu, state) = (active.clone(), next.clone(), state.clone());
            BootLoader::new(BootLoaderConfig { active, dfu, state }).prepare_boot(&mut [0; 256])
        };
        BlockingFirmwareState::new(state.clone(), &mut [0; 4]).mark_updated().unwrap();
        boot().unwrap();
        assert_eq!(active.content(), new);
        // The new image confirms itself, and power goes while its state is erased, after one write.
        chip.borrow_mut().cut_after(1, *seed);
        assert!(BlockingFirmwareState::new(state.clone(), &mut [0; 4]).mark_booted().is_err());
        chip.borrow_mut().power_on();
        // A second write of a word that reads blank: real flash without error correction takes it.
        state.allow_rewriting();
        boot().unwrap();
        active.content() != old && active.content() != new
    });
    assert!(mixed.count() > 0);
}
