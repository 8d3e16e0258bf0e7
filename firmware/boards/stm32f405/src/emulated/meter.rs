//! What the image costs, into the host file `meter`: microseconds since boot, wake-ups, nanoseconds awake, and the deepest
//! the stack has been, in bytes, written over every two seconds.
//!
//! With QEMU's `-icount shift=0` an instruction takes one nanosecond, so *nanoseconds awake* are instructions. Without it
//! they say how busy the host was.

use super::semihosting::HostFile;
use core::cell::RefCell;
use critical_section::Mutex;
use embassy_stm32::{pac, peripherals::TIM5, rcc};
use embassy_time::Instant;
use quaywatch_board::stack;

struct Meter {
    file: Option<HostFile>,
    wake_ups: u64,
    awake_ns: u64,
    woke_at: u32,
}

static METER: Mutex<RefCell<Meter>> =
    Mutex::new(RefCell::new(Meter { file: None, wake_ups: 0, awake_ns: 0, woke_at: 0 }));

/// Begins to count: QEMU's timers count nanoseconds if nothing divides them, and wrap after four seconds.
pub fn measure() {
    rcc::enable_and_reset::<TIM5>();
    pac::TIM5.arr().write_value(u32::MAX);
    pac::TIM5.egr().write(|w| w.set_ug(true));
    pac::TIM5.cr1().modify(|w| w.set_cen(true));
    with(|meter| meter.file = HostFile::create(c"meter"));
}

/// The core is about to sleep.
pub fn sleeps() {
    with(|meter| meter.awake_ns += u64::from(pac::TIM5.cnt().read().wrapping_sub(meter.woke_at)));
}

/// The core woke up.
pub fn woke() {
    with(|meter| {
        meter.wake_ups += 1;
        meter.woke_at = pac::TIM5.cnt().read();
    });
}

/// Writes the line.
pub fn report() {
    let now = Instant::now().as_micros();
    let deepest = stack::deepest() as u64;
    with(|meter| {
        let mut line = [b' '; LINE];
        for (column, number) in line.chunks_mut(COLUMN).zip([now, meter.wake_ups, meter.awake_ns, deepest]) {
            let (_, digits) = column.split_at_mut(1);
            decimal(number, digits);
        }
        line[LINE - 1] = b'\n';
        if let Some(file) = &mut meter.file {
            file.write(0, &line);
        }
    });
}

/// Columns are right-aligned, as wide as the largest number and a space.
const COLUMN: usize = 21;
const LINE: usize = 4 * COLUMN + 1;

/// The number at the end of `digits`.
pub fn decimal(mut number: u64, digits: &mut [u8]) -> &str {
    let mut at = digits.len();
    while at > 0 {
        at -= 1;
        digits[at] = b'0' + (number % 10) as u8;
        number /= 10;
        if number == 0 {
            break;
        }
    }
    core::str::from_utf8(&digits[at..]).unwrap_or_default()
}

fn with<T>(act: impl FnOnce(&mut Meter) -> T) -> T {
    critical_section::with(|cs| act(&mut METER.borrow_ref_mut(cs)))
}
