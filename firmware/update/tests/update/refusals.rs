//! What a node does not take: it says why, and nothing is marked.

use crate::chip::{Chip, Noise, Part};
use quaywatch_update::{
    BLOCK_BYTES, Board, Fault, Finish, KeyId, MANIFEST_BYTES, Malformed, Node, Refusal, Started, State, Unsigned,
    Update, Version, pack, prepare, public_key,
};

const SECRET: [u8; 32] = [3; 32];
const ERASE: usize = 1024;
const UNITS: usize = 2;

type Flash = Part<4, ERASE>;

struct Bench {
    active: Flash,
    next: Flash,
    state: Flash,
    image: Vec<u8>,
}

impl Bench {
    fn new() -> Self {
        let chip = Chip::blank((2 * UNITS + 3) * ERASE);
        let part = |from: usize, units: usize| Part::of(&chip, from * ERASE, units * ERASE);
        let (active, next, state) = (part(0, UNITS), part(UNITS, UNITS + 1), part(2 * UNITS + 1, 2));
        Self { active, next, state, image: Noise(5).bytes(ERASE + 333) }
    }

    fn update(&self) -> Update<Flash, Flash> {
        let node = Node { board: Board::Stm32f405, runs: Version(4), keys: [Some(public_key(&SECRET)), None] };
        Update::open(self.next.clone(), self.state.clone(), node, 0).unwrap()
    }

    fn manifest(&self) -> [u8; MANIFEST_BYTES] {
        pack(&SECRET, Board::Stm32f405, Version(5), &self.image).unwrap().to_bytes()
    }

    /// Nothing was marked: the bootloader starts what was there.
    fn is_as_before(&self) {
        assert_eq!(self.update().state(), State::Settled);
        assert_eq!(prepare(self.active.clone(), self.next.clone(), self.state.clone()), Ok(Started::AsBefore));
    }
}

fn send(update: &mut Update<Flash, Flash>, image: &[u8]) {
    for (index, block) in image.chunks(BLOCK_BYTES).enumerate() {
        let offset = index * BLOCK_BYTES;
        assert_eq!(update.block(offset as u32, block), Ok((offset + block.len()) as u32));
    }
}

fn finish(update: &mut Update<Flash, Flash>) -> Result<Finish, Refusal> {
    loop {
        match update.finish() {
            Ok(Finish::Working) => {}
            done => return done,
        }
    }
}

#[test]
fn a_manifest_that_is_not_for_this_node_is_refused_with_the_reason() {
    let bench = Bench::new();
    let mut update = bench.update();
    let signed = |secret, board, version| pack(secret, board, version, &bench.image).unwrap().to_bytes();
    let other = [9; 32];
    let unknown = Unsigned::UnknownKey(KeyId::of(&public_key(&other)));
    let mut forged = signed(&other, Board::Stm32f405, Version(5));
    forged[16..20].copy_from_slice(&KeyId::of(&public_key(&SECRET)).0);
    let long = pack(&SECRET, Board::Stm32f405, Version(5), &vec![1; UNITS * ERASE + 1]).unwrap().to_bytes();
    for (manifest, refusal) in [
        (signed(&other, Board::Stm32f405, Version(5)), Refusal::Unsigned(unknown)),
        (forged, Refusal::Unsigned(Unsigned::BadSignature)),
        (signed(&SECRET, Board::Rp2040, Version(5)), Refusal::WrongBoard(Board::Rp2040)),
        (signed(&SECRET, Board::Stm32f405, Version(3)), Refusal::TooOld(Version(4))),
        (long, Refusal::TooLong((UNITS * ERASE) as u32)),
    ] {
        assert_eq!(update.begin(&manifest), Err(refusal));
        assert_eq!(update.block(0, &bench.image[..BLOCK_BYTES]), Err(Refusal::NoTransfer));
        assert_eq!(update.finish(), Err(Refusal::NoTransfer));
    }
    for length in 0..MANIFEST_BYTES {
        let refused = update.begin(&bench.manifest()[..length]);
        assert!(matches!(refused, Err(Refusal::Malformed(Malformed::Length | Malformed::Magic))), "{length} bytes");
    }
    for bit in 0..MANIFEST_BYTES * 8 {
        let mut manifest = bench.manifest();
        manifest[bit / 8] ^= 1 << (bit % 8);
        let refused = update.begin(&manifest);
        assert!(matches!(refused, Err(Refusal::Malformed(_) | Refusal::Unsigned(_))), "bit {bit}: {refused:?}");
    }
    bench.is_as_before();
    assert!(bench.next.content().iter().all(|byte| *byte == 0xff), "something was written");
}

#[test]
fn a_flipped_bit_in_any_byte_of_the_image_is_refused() {
    // A single bit per byte, another one in each: eight times as many would say nothing new of SHA-512.
    let bench = Bench::new();
    for byte in 0..bench.image.len() {
        let mut update = bench.update();
        assert_eq!(update.begin(&bench.manifest()), Ok(0), "a refused image is not gone on with");
        let mut image = bench.image.clone();
        image[byte] ^= 1 << (byte % 8);
        send(&mut update, &image);
        assert_eq!(finish(&mut update), Err(Refusal::Digest), "byte {byte}");
        assert_eq!(update.finish(), Err(Refusal::NoTransfer));
        bench.is_as_before();
    }
}

#[test]
fn what_flash_holds_is_verified_and_not_what_came() {
    for byte in [0, 127, 128, ERASE - 1, ERASE, ERASE + 332] {
        let bench = Bench::new();
        let mut update = bench.update();
        assert_eq!(update.begin(&bench.manifest()), Ok(0));
        send(&mut update, &bench.image);
        bench.next.damage(|content| content[byte] ^= 0x10);
        assert_eq!(finish(&mut update), Err(Refusal::Digest), "byte {byte}");
        bench.is_as_before();
    }
}

#[test]
fn an_image_that_is_not_whole_is_not_marked() {
    let bench = Bench::new();
    let mut update = bench.update();
    update.begin(&bench.manifest()).unwrap();
    for (index, block) in bench.image.chunks(BLOCK_BYTES).enumerate() {
        assert_eq!(update.finish(), Err(Refusal::Incomplete), "{index} blocks");
        let offset = (index * BLOCK_BYTES) as u32;
        assert_eq!(update.block(offset, &block[1..]), Err(Refusal::BlockLength));
        assert_eq!(update.block(offset, &[block, &[0]].concat()), Err(Refusal::BlockLength));
        assert_eq!(update.block(offset + 1, block), Ok(offset), "from another place");
        bench.is_as_before();
        assert_eq!(update.block(offset, block), Ok(offset + block.len() as u32));
    }
    assert_eq!(update.block(bench.image.len() as u32, b"more"), Ok(bench.image.len() as u32));
    assert_eq!(finish(&mut update), Ok(Finish::Marked));
}

#[test]
fn another_image_takes_the_place_of_one_that_is_half_here_or_marked() {
    let bench = Bench::new();
    let mut update = bench.update();
    update.begin(&bench.manifest()).unwrap();
    send(&mut update, &bench.image[..ERASE]);
    let other = Noise(6).bytes(900);
    let manifest = pack(&SECRET, Board::Stm32f405, Version(6), &other).unwrap().to_bytes();
    assert_eq!(update.begin(&manifest), Ok(0));
    send(&mut update, &other);
    assert_eq!(finish(&mut update), Ok(Finish::Marked));
    assert_eq!(update.begin(&manifest), Ok(900), "it is here, and marked");
    assert_eq!((update.finish(), update.state()), (Ok(Finish::Marked), State::Marked(Version(6))));
    assert_eq!(update.begin(&bench.manifest()), Ok(0));
    bench.is_as_before();
    send(&mut update, &bench.image);
    assert_eq!(finish(&mut update), Ok(Finish::Marked));
    assert_eq!(prepare(bench.active.clone(), bench.next.clone(), bench.state.clone()), Ok(Started::OnTrial));
    assert_eq!(bench.active.content()[..bench.image.len()], bench.image);
}

#[test]
fn the_floor_outlives_an_older_image_that_a_probe_brings() {
    let bench = Bench::new();
    let mut update = bench.update();
    update.begin(&bench.manifest()).unwrap();
    send(&mut update, &bench.image);
    finish(&mut update).unwrap();
    prepare(bench.active.clone(), bench.next.clone(), bench.state.clone()).unwrap();
    let node = Node { board: Board::Stm32f405, runs: Version(5), keys: [None, None] };
    let mut update = Update::open(bench.next.clone(), bench.state.clone(), node, 0).unwrap();
    update.heard();
    update.tested(true);
    update.turn(0);
    assert_eq!((update.state(), update.floor()), (State::Settled, Version(5)));
    let mut update = bench.update();
    assert_eq!(update.floor(), Version(5), "and version 4 runs");
    let older = pack(&SECRET, Board::Stm32f405, Version(4), b"older").unwrap().to_bytes();
    assert_eq!(update.begin(&older), Err(Refusal::TooOld(Version(5))));
}

#[test]
fn an_image_that_does_not_call_itself_what_was_signed_does_not_stay() {
    let bench = Bench::new();
    let mut update = bench.update();
    update.begin(&bench.manifest()).unwrap();
    send(&mut update, &bench.image);
    finish(&mut update).unwrap();
    prepare(bench.active.clone(), bench.next.clone(), bench.state.clone()).unwrap();
    // Version 5 was signed, and what runs says 4.
    let mut update = bench.update();
    update.heard();
    update.tested(true);
    assert_eq!((update.turn(0), update.state()), (quaywatch_update::Next::Restart, State::OnTrial(Version(5))));
    assert_eq!(prepare(bench.active.clone(), bench.next.clone(), bench.state.clone()), Ok(Started::Reverted));
    assert_eq!(bench.update().state(), State::Reverted(Version(5)));
}

#[test]
fn slots_that_do_not_fit_are_a_fault() {
    let chip = Chip::blank(9 * ERASE);
    let part = |units: usize| Flash::of(&chip, 0, units * ERASE);
    assert_eq!(prepare(part(2), part(2), part(2)), Err(Fault::Layout));
    assert_eq!(prepare(part(2), part(4), part(2)), Err(Fault::Layout));
    assert_eq!(prepare(part(0), part(1), part(2)), Err(Fault::Layout));
    assert_eq!(prepare(part(2), part(3), part(1)), Err(Fault::Layout));
    let node = Node { board: Board::Stm32f405, runs: Version(1), keys: [None, None] };
    assert_eq!(Update::open(part(1), part(2), node, 0).err(), Some(Fault::Layout));
}
