//! What a board's firmware brings until somebody configures the node.

use quaywatch_node::{Channel, Config, Plate, settings::Draft};

/// The firmware's version: a rising number, as signed images carry it. `QUAYWATCH_FIRMWARE_VERSION` at build time, or 1.
pub const VERSION: u32 = match option_env!("QUAYWATCH_FIRMWARE_VERSION") {
    Some(digits) => number(digits.as_bytes()),
    None => 1,
};

/// Whose signatures under images the node takes: `QUAYWATCH_UPDATE_KEYS` at build time, one public key or two with a comma
/// between them, 64 hexadecimal digits each. Without any it takes no image.
///
/// They are in the image, and not given at enrolment, because enrolment goes through the gateway: whoever breaks into that
/// could hand out a key of their own. So another key comes with an image that the key before it signed.
pub fn update_keys() -> [Option<[u8; 32]>; 2] {
    const KEYS: [Option<[u8; 32]>; 2] = match option_env!("QUAYWATCH_UPDATE_KEYS") {
        Some(digits) => keys(digits.as_bytes()),
        None => [None, None],
    };
    // An image is as large without keys as with them, so that its size can be held to a bound in CI, which has none.
    core::hint::black_box(KEYS)
}

const fn number(digits: &[u8]) -> u32 {
    let (mut number, mut at) = (0u32, 0);
    while at < digits.len() {
        assert!(digits[at].is_ascii_digit(), "QUAYWATCH_FIRMWARE_VERSION is a number");
        // One that does not fit ends the build.
        number = number * 10 + (digits[at] - b'0') as u32;
        at += 1;
    }
    assert!(number > 0, "QUAYWATCH_FIRMWARE_VERSION begins with 1");
    number
}

const fn keys(digits: &[u8]) -> [Option<[u8; 32]>; 2] {
    match digits.len() {
        64 => [Some(key(digits, 0)), None],
        129 if digits[64] == b',' => [Some(key(digits, 0)), Some(key(digits, 65))],
        _ => panic!("QUAYWATCH_UPDATE_KEYS is 64 hexadecimal digits, or twice that with a comma between them"),
    }
}

const fn key(digits: &[u8], from: usize) -> [u8; 32] {
    let (mut key, mut at) = ([0; 32], 0);
    while at < 64 {
        let half = match digits[from + at] {
            digit @ b'0'..=b'9' => digit - b'0',
            digit @ b'a'..=b'f' => digit - b'a' + 10,
            digit @ b'A'..=b'F' => digit - b'A' + 10,
            _ => panic!("QUAYWATCH_UPDATE_KEYS has hexadecimal digits"),
        };
        key[at / 2] = key[at / 2] << 4 | half;
        at += 1;
    }
    key
}

/// Everything that every board has a pin for, sensed as is usual.
#[inline(never)]
pub fn factory(plate: Plate) -> Config {
    let mut draft = Draft::default();
    CHANNELS.into_iter().for_each(|channel| draft.add(channel));
    let Ok(settings) = draft.check() else { panic!("what is usual is in its range") };
    Config::blank().on(plate).by(&settings)
}

const CHANNELS: [Channel; 9] = [
    Channel::Pir,
    Channel::Door,
    Channel::Tamper,
    Channel::Contact1,
    Channel::Contact2,
    Channel::Contact3,
    Channel::Contact4,
    Channel::Supply,
    Channel::Health,
];
