//! Asking the host, by ARM's semihosting: a breakpoint with a number that a debugger or an emulator answers.
//!
//! On a chip without a debugger it is a fault. It is never in an image for a chip.

use core::ffi::CStr;
use heapless::CString;

const OPEN: usize = 0x01;
const WRITE0: usize = 0x04;
const WRITE: usize = 0x05;
const READ: usize = 0x06;
const SEEK: usize = 0x0a;
const LENGTH: usize = 0x0c;
const EXIT_EXTENDED: usize = 0x20;
/// `r+b`: for reading and writing, if it exists.
const EXISTING: usize = 3;
/// `rb`
const TO_READ: usize = 1;
/// `w+b`: made, or made empty.
const NEW: usize = 7;
/// ADP_Stopped_RunTimeErrorUnknown
const ERROR: usize = 0x20023;

/// A file of the host.
pub struct HostFile(usize);

impl HostFile {
    /// Opens a file for reading.
    pub fn open_to_read(name: &CStr) -> Option<Self> {
        Self::with(name, TO_READ)
    }

    /// Opens a file for reading and writing.
    pub fn open(name: &CStr) -> Option<Self> {
        Self::with(name, EXISTING)
    }

    /// Makes an empty file.
    pub fn create(name: &CStr) -> Option<Self> {
        Self::with(name, NEW)
    }

    /// How long it is.
    pub fn length(&mut self) -> usize {
        ask(LENGTH, &[self.0])
    }

    /// Reads at a place; whether all of it could be read.
    pub fn read(&mut self, at: u32, bytes: &mut [u8]) -> bool {
        ask(SEEK, &[self.0, at as usize]) == 0 && ask(READ, &[self.0, bytes.as_mut_ptr() as usize, bytes.len()]) == 0
    }

    /// Writes at a place; whether all of it was written.
    pub fn write(&mut self, at: u32, bytes: &[u8]) -> bool {
        ask(SEEK, &[self.0, at as usize]) == 0 && ask(WRITE, &[self.0, bytes.as_ptr() as usize, bytes.len()]) == 0
    }

    fn with(name: &CStr, mode: usize) -> Option<Self> {
        let handle = ask(OPEN, &[name.as_ptr() as usize, mode, name.count_bytes()]);
        (handle != usize::MAX).then_some(Self(handle))
    }
}

/// Says something on the host's terminal.
pub fn say(words: &str) {
    let mut text = CString::<128>::new();
    if text.extend_from_bytes(words.as_bytes()).is_ok() {
        let text: &CStr = &text;
        call(WRITE0, text.as_ptr() as usize);
    }
}

/// Says it and ends the emulator with an error.
pub fn fail(words: &str) -> ! {
    say(words);
    ask(EXIT_EXTENDED, &[ERROR, 1]);
    loop {
        cortex_m::asm::nop();
    }
}

fn ask(what: usize, words: &[usize]) -> usize {
    call(what, words.as_ptr() as usize)
}

#[expect(unsafe_code, reason = "the emulator reads and writes the image's memory")]
fn call(what: usize, parameter: usize) -> usize {
    let answer;
    // SAFETY: every parameter block above is what the specification wants for its call, and points to memory that is
    // borrowed for as long as the call takes. No `nomem`: the host reads and writes it.
    unsafe { core::arch::asm!("bkpt 0xab", inout("r0") what => answer, in("r1") parameter, options(nostack)) };
    answer
}
