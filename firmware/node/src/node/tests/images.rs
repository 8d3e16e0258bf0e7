//! A node that takes an image, runs it on trial and keeps it or goes back, told over the link as a gateway does.

use super::*;
use embedded_storage::nor_flash::NorFlashErrorKind;
use quaywatch_update::{Board, Node as Which, PublicKey, Started, State, Update, Version, pack, prepare, public_key};

type Images = Update<EmulatedFlash, EmulatedFlash>;

const SECRET: [u8; 32] = [5; 32];

/// What a reset leaves: the node's own flash, and two slots with what is between them.
struct Device {
    kept: EmulatedFlash,
    active: EmulatedFlash,
    next: EmulatedFlash,
    state: EmulatedFlash,
}

impl Device {
    fn new() -> Self {
        let flash = EmulatedFlash::in_memory;
        Self { kept: flash(6), active: flash(2), next: flash(3), state: flash(2) }
    }

    fn boots(&self) -> Started {
        prepare(self.active.clone(), self.next.clone(), self.state.clone()).unwrap()
    }

    fn images(&self, runs: u32) -> Images {
        let keys: [Option<PublicKey>; 2] = [Some(public_key(&SECRET)), None];
        let which = Which { board: Board::Nrf52840, runs: Version(runs), keys };
        Update::open(self.next.clone(), self.state.clone(), which, 0).unwrap()
    }

    fn node(&self, runs: u32) -> Node<EmulatedFlash, Images> {
        let reset = Boot { reset: ResetCause::Software, ..boot(0) };
        Node::boot_with(config(), self.kept.clone(), reset, self.images(runs))
    }
}

fn image() -> List<u8> {
    (0..3_000u32).map(|at| (at * 7) as u8).collect()
}

fn begin(secret: &[u8; 32], board: Board, version: u32, image: &[u8]) -> Task {
    let manifest = pack(secret, board, Version(version), image).unwrap().to_bytes();
    Task::Begin(Transfer::Image { manifest: manifest.into_iter().collect() })
}

/// Sends an image as far as it runs after the next restart.
fn send(gateway: &mut Gateway, node: &mut Node<EmulatedFlash, Images>, version: u32) {
    let image = image();
    let mut done = gateway.order(node, begin(&SECRET, Board::Nrf52840, version, &image), 10);
    while let Ok(Done::Has(has)) = done
        && let Some(bytes) = image[has as usize..].chunks(BLOCK_BYTES).next()
    {
        done = gateway.order(node, Task::Block { offset: has, bytes: bytes.iter().copied().collect() }, 20);
    }
    assert_eq!(done, Ok(Done::Has(3_000)));
    assert_eq!(gateway.order(node, Task::Finish, 30), Ok(Done::Done));
    assert_eq!(gateway.order(node, Task::ImageTrial, 30), Ok(Done::Done), "what runs is not that image yet");
}

#[test]
fn an_image_that_tested_itself_and_was_polled_stays_and_says_so() {
    let (device, mut gateway) = (Device::new(), Gateway::new(1));
    let mut node = device.node(4);
    assert_eq!(gateway.meet(&mut node, 5).reset, ResetCause::Software);
    send(&mut gateway, &mut node, 5);
    assert_eq!(device.boots(), Started::OnTrial);
    let mut node = device.node(5);
    assert_eq!(gateway.meet(&mut node, 5).reset, ResetCause::Update);
    node.tick(10);
    assert_eq!(gateway.order(&mut node, Task::ImageTrial, 11), Ok(Done::Working));
    let next = begin(&SECRET, Board::Nrf52840, 6, &image());
    assert_eq!(gateway.order(&mut node, next, 12), Err(Refusal::OnTrial));
    // Nothing but a poll shows that the gateway gets an answer.
    node.receive(&gateway.poll(None), 20).unwrap();
    node.tick(21);
    assert_eq!(gateway.order(&mut node, Task::ImageTrial, 22), Ok(Done::Done));
    assert!(!node.wants_restart(u64::MAX / 2));
    assert_eq!((device.boots(), device.images(5).state()), (Started::AsBefore, State::Settled));
}

#[test]
fn an_image_that_nobody_polls_restarts_by_itself_and_the_former_one_runs_again() {
    let (device, mut gateway) = (Device::new(), Gateway::new(1));
    let mut node = device.node(4);
    gateway.meet(&mut node, 5);
    send(&mut gateway, &mut node, 5);
    device.boots();
    let mut node = device.node(5);
    gateway.meet(&mut node, 5);
    node.sense(Channel::Load1, 33.0, 100).unwrap();
    let over = quaywatch_update::TRIAL_MS;
    node.tick(over - 1);
    assert!(!node.wants_restart(over - 1));
    node.tick(over);
    assert!(node.wants_restart(over));
    assert_eq!(device.boots(), Started::Reverted);
    let mut node = device.node(4);
    gateway.meet(&mut node, 5);
    let said = words(&read(node.receive(&gateway.poll(None), 10)));
    assert!(said.contains(&(Channel::Load1, Value::Measure(33.0))), "what it sensed meanwhile is kept: {said:?}");
}

#[test]
fn an_image_that_cannot_use_the_nodes_flash_goes_at_once() {
    let (device, mut gateway) = (Device::new(), Gateway::new(1));
    let mut node = device.node(4);
    gateway.meet(&mut node, 5);
    send(&mut gateway, &mut node, 5);
    device.boots();
    device.kept.cut_power_after(0, 1);
    let mut node = device.node(5);
    assert_eq!(node.locked(), Some(Locked::Fails(NorFlashErrorKind::Other)));
    node.tick(10);
    assert!(node.wants_restart(10));
}

#[test]
fn every_reason_that_an_image_is_not_taken_has_a_word_on_the_link() {
    let (device, mut gateway) = (Device::new(), Gateway::new(1));
    let mut node = device.node(4);
    gateway.meet(&mut node, 5);
    let long = [1; 2 * 4096 + 1];
    for (task, why) in [
        (begin(&[6; 32], Board::Nrf52840, 5, &image()), Refusal::BadSignature),
        (begin(&SECRET, Board::Rp2040, 5, &image()), Refusal::WrongBoard),
        (begin(&SECRET, Board::Nrf52840, 3, &image()), Refusal::TooOld),
        (begin(&SECRET, Board::Nrf52840, 5, &long), Refusal::TooLong),
        (Task::Begin(Transfer::Image { manifest: heapless::Vec::new() }), Refusal::BadSignature),
        (Task::Block { offset: 0, bytes: heapless::Vec::new() }, Refusal::NoTransfer),
        (Task::Finish, Refusal::NoTransfer),
    ] {
        assert_eq!(gateway.order(&mut node, task.clone(), 10), Err(why), "{task:?}");
    }
    assert_eq!(gateway.order(&mut node, begin(&SECRET, Board::Nrf52840, 5, &image()), 11), Ok(Done::Has(0)));
    let short = Task::Block { offset: 0, bytes: [0; 5].into_iter().collect() };
    assert_eq!(gateway.order(&mut node, short, 12), Err(Refusal::Incomplete));
    assert_eq!(gateway.order(&mut node, Task::Finish, 13), Err(Refusal::Incomplete));
    let mut other = image();
    other[7] ^= 1;
    for (index, bytes) in other.chunks(BLOCK_BYTES).enumerate() {
        let block = Task::Block { offset: (index * BLOCK_BYTES) as u32, bytes: bytes.iter().copied().collect() };
        gateway.order(&mut node, block, 14).unwrap();
    }
    assert_eq!(gateway.order(&mut node, Task::Finish, 15), Err(Refusal::BadDigest));
    device.next.cut_power_after(0, 1);
    gateway.order(&mut node, begin(&SECRET, Board::Nrf52840, 5, &image()), 16).unwrap();
    let block = Task::Block { offset: 0, bytes: image()[..BLOCK_BYTES].iter().copied().collect() };
    assert_eq!(gateway.order(&mut node, block, 17), Err(Refusal::Flash));
    assert_eq!(device.boots(), Started::AsBefore, "nothing was marked");
}
