//! The registers that QEMU's STM32F405 lacks, played from memory: clock tree, flash controller, power controller. They read
//! 0 there, and the HAL's clock set-up would wait for ever for an oscillator.
//!
//! The memory protection unit denies them, and the fault handler decodes the load or store and plays it. It has to be the
//! hard fault: the HAL touches them in critical sections, where a memory fault becomes one anyway.
#![expect(unsafe_code, reason = "plays hardware: faults, frames on the stack, registers of the core")]

use super::{meter, semihosting};
use core::sync::atomic::{AtomicU32, Ordering::Relaxed};
use cortex_m::peripheral::{MPU, SCB};

/// Reset and clock control; the flash controller follows it.
const RCC: u32 = 0x4002_3800;
const FLASH: u32 = 0x4002_3c00;
const PWR: u32 = 0x4000_7000;

const RCC_CR: u32 = 0x00;
const RCC_CFGR: u32 = 0x08;
const RCC_BDCR: u32 = 0x70;
const RCC_CSR: u32 = 0x74;

const RCC_WORDS: usize = 0x90 / 4;
const FLASH_WORDS: usize = 0x1c / 4;
const PWR_WORDS: usize = 2;

static SHADOW: [AtomicU32; RCC_WORDS + FLASH_WORDS + PWR_WORDS] =
    [const { AtomicU32::new(0) }; RCC_WORDS + FLASH_WORDS + PWR_WORDS];

/// Begins to play them; `false` if they are there, which means that this is a chip.
pub fn play() -> bool {
    // SAFETY: reading it has no effect.
    if unsafe { (RCC as *const u32).read_volatile() } != 0 {
        return false;
    }
    // After a reset the internal oscillator runs, and the flags say that power came.
    shadow(RCC + RCC_CR, |word| word.store(0x83, Relaxed));
    shadow(RCC + RCC_CSR, |word| word.store(0x0e00_0000, Relaxed));
    // 2 KiB hold clock tree and flash controller, 1 KiB the power controller.
    for (region, (base, log2)) in [(RCC, 11), (PWR, 10)].into_iter().enumerate() {
        // SAFETY: nothing else uses the unit; the regions hold no memory of the image.
        unsafe {
            (*MPU::PTR).rnr.write(region as u32);
            (*MPU::PTR).rbar.write(base);
            // No access, no execution.
            (*MPU::PTR).rasr.write(1 << 28 | (log2 - 1) << 1 | 1);
        }
    }
    // SAFETY: as above. Everything else stays as it is without the unit.
    unsafe { (*MPU::PTR).ctrl.write(0b101) };
    cortex_m::asm::dsb();
    cortex_m::asm::isb();
    true
}

fn read(address: u32) -> u32 {
    let word = shadow(address, |word| word.load(Relaxed)).unwrap_or(0);
    match address.wrapping_sub(RCC) {
        // *Ready* follows *on*: oscillators and PLLs.
        RCC_CR => {
            let on = word & (1 | 1 << 16 | 1 << 24 | 1 << 26);
            word & !(on << 1 | 1 << 1 | 1 << 17 | 1 << 25 | 1 << 27) | on << 1
        }
        // The clock in use is the one that was asked for.
        RCC_CFGR => word & !0b1100 | (word & 0b11) << 2,
        RCC_BDCR | RCC_CSR => word & !0b10 | (word & 1) << 1,
        _ => word,
    }
}

/// The word behind an address, if it is played.
fn shadow<T>(address: u32, with: impl FnOnce(&AtomicU32) -> T) -> Option<T> {
    let at = |base: u32| (address.wrapping_sub(base) / 4) as usize;
    let index = match address & !0x3ff {
        RCC => Some(at(RCC)).filter(|at| *at < RCC_WORDS),
        FLASH => Some(at(FLASH)).filter(|at| *at < FLASH_WORDS).map(|at| RCC_WORDS + at),
        PWR => Some(at(PWR)).filter(|at| *at < PWR_WORDS).map(|at| RCC_WORDS + FLASH_WORDS + at),
        _ => None,
    };
    index.and_then(|index| SHADOW.get(index)).map(with)
}

// Hands the interrupted code's registers over: r0 to r3, r12, lr, pc and xpsr are in the frame, r4 to r11 are pushed here.
core::arch::global_asm!(
    ".global HardFault",
    ".type HardFault,%function",
    ".thumb_func",
    "HardFault:",
    "tst lr, #4",
    "ite eq",
    "mrseq r0, msp",
    "mrsne r0, psp",
    "push {{r4-r11}}",
    "mov r1, sp",
    "push {{r3, lr}}",
    "bl {faulted}",
    "pop {{r3, lr}}",
    "pop {{r4-r11}}",
    "bx lr",
    faulted = sym faulted,
);

const FRAME_PC: usize = 6;
const FRAME_XPSR: usize = 7;

/// Plays the load or store that faulted; any other fault ends the emulator.
unsafe extern "C" fn faulted(frame: *mut u32, high: *mut u32) {
    // SAFETY: the trampoline passes the frame that the core pushed and the eight registers that it pushed itself; the
    // program counter points to an instruction that was executed.
    unsafe {
        let status = (*SCB::PTR).cfsr.read();
        let address = (*SCB::PTR).mmfar.read();
        let is_played = matches!(address & !0x3ff, RCC | FLASH | PWR);
        // Bit 7: the address is valid.
        if status & 1 << 7 == 0 || !is_played {
            let mut digits = [0; 10];
            semihosting::say("fault at ");
            semihosting::say(meter::decimal(u64::from(*frame.add(FRAME_PC)), &mut digits));
            semihosting::say(", status ");
            semihosting::say(meter::decimal(u64::from(status), &mut digits));
            semihosting::fail("\n");
        }
        (*SCB::PTR).cfsr.write(status);
        (*SCB::PTR).hfsr.write(1 << 30);
        let pc = *frame.add(FRAME_PC);
        let first = u32::from((pc as *const u16).read_volatile());
        let Some(access) = Access::decode(first, || u32::from((pc as *const u16).add(1).read_volatile())) else {
            semihosting::fail("an access to a register that cannot be played\n");
        };
        let register = match access.register {
            at @ 0..=3 => frame.add(at),
            at @ 4..=11 => high.add(at - 4),
            12 => frame.add(4),
            14 => frame.add(5),
            _ => semihosting::fail("an access by a register that cannot be\n"),
        };
        if access.is_load {
            *register = read(address);
        } else {
            shadow(address, |word| word.store(*register, Relaxed));
        }
        *frame.add(FRAME_PC) = pc + access.length;
        *frame.add(FRAME_XPSR) = past_condition(*frame.add(FRAME_XPSR));
    }
}

/// A load or store of a word.
struct Access {
    is_load: bool,
    register: usize,
    length: u32,
}

impl Access {
    /// The forms that compilers use for registers of peripherals (ARMv7-M reference manual, A7.7).
    fn decode(first: u32, second: impl FnOnce() -> u32) -> Option<Self> {
        let short = |is_load| Some(Self { is_load, register: (first & 7) as usize, length: 2 });
        match first >> 11 {
            // STR and LDR with an offset of five bits.
            0b01100 => return short(false),
            0b01101 => return short(true),
            // The same with a register.
            0b01010 if first & 0x600 == 0 => return short(false),
            0b01011 if first & 0x600 == 0 => return short(true),
            _ => {}
        }
        let second = second();
        let long = |is_load| Some(Self { is_load, register: (second >> 12) as usize, length: 4 });
        // Forms that change the address register are not played.
        let changes_address = second & 0x900 == 0x900;
        match first & 0xfff0 {
            0xf8c0 => long(false),
            0xf8d0 => long(true),
            0xf840 if !changes_address => long(false),
            0xf850 if !changes_address => long(true),
            _ => None,
        }
    }
}

/// The status of a conditional block, if the instruction was in one, after the instruction (ITSTATE, A7.3.3).
fn past_condition(status: u32) -> u32 {
    let state = status >> 25 & 3 | (status >> 10 & 0x3f) << 2;
    let next = match state {
        0 => return status,
        _ if state & 7 == 0 => 0,
        _ => state & 0xe0 | state << 1 & 0x1f,
    };
    status & !(3 << 25 | 0x3f << 10) | (next & 3) << 25 | (next >> 2) << 10
}
