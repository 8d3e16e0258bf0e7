//! embassy's clock: TIM2 counts microseconds, SysTick wakes once for the next alarm. Nothing ticks while nothing is due.
//!
//! Not embassy-stm32's own driver, because QEMU's timers have no compare interrupt: both builds tell the time alike.

use crate::{clocks, machine};
use core::{cell::RefCell, task::Waker};
use critical_section::{CriticalSection, Mutex};
use embassy_stm32::{pac, peripherals::TIM2, rcc};
use embassy_time_driver::Driver;
use embassy_time_queue_utils::Queue;

/// SysTick counts 24 bits of core clocks, 99.8 ms; whoever waits longer is looked at in between.
const LONGEST_US: u64 = 99_000;
const CORE_PER_US: u32 = clocks::CORE_HZ / 1_000_000;

struct Clock(Mutex<RefCell<State>>);

struct State {
    queue: Queue,
    /// TIM2 as it was read last, and how often it had wrapped by then: it wraps every 71 minutes, and alarms look at it ten
    /// times a second.
    last: u32,
    wraps: u32,
}

embassy_time_driver::time_driver_impl!(
    static CLOCK: Clock = Clock(Mutex::new(RefCell::new(State { queue: Queue::new(), last: 0, wraps: 0 })))
);

/// Starts counting.
pub fn start() {
    rcc::enable_and_reset::<TIM2>();
    pac::TIM2.psc().write_value(machine::MICROSECOND_PRESCALER);
    pac::TIM2.arr().write_value(u32::MAX);
    pac::TIM2.egr().write(|w| w.set_ug(true));
    pac::TIM2.cr1().modify(|w| w.set_cen(true));
}

impl Driver for Clock {
    fn now(&self) -> u64 {
        critical_section::with(|cs| self.0.borrow_ref_mut(cs).now())
    }

    fn schedule_wake(&self, at: u64, waker: &Waker) {
        critical_section::with(|cs| {
            let mut state = self.0.borrow_ref_mut(cs);
            if state.queue.schedule_wake(at, waker) {
                state.arm();
            }
        });
    }
}

impl State {
    fn now(&mut self) -> u64 {
        let count = pac::TIM2.cnt().read();
        if count < self.last {
            self.wraps += 1;
        }
        self.last = count;
        u64::from(self.wraps) << 32 | u64::from(count)
    }

    /// Wakes whoever is due and sets the alarm for who comes next.
    fn arm(&mut self) {
        loop {
            let now = self.now();
            let next = self.queue.next_expiration(now);
            if next == u64::MAX {
                return systick::stop();
            }
            if let Some(wait @ 1..) = next.checked_sub(self.now()) {
                return systick::once(wait.min(LONGEST_US) as u32 * CORE_PER_US);
            }
        }
    }
}

fn expired(cs: CriticalSection<'_>) {
    CLOCK.0.borrow_ref_mut(cs).arm();
}

#[cortex_m_rt::exception]
fn SysTick() {
    critical_section::with(expired);
}

/// SysTick as an alarm: it would go on counting, so whoever hears it stops it or sets it anew.
#[expect(unsafe_code, reason = "SysTick belongs to this module alone, and nobody hands out the core's peripherals")]
mod systick {
    use cortex_m::peripheral::SYST;

    const ENABLE_WITH_INTERRUPT_FROM_CORE: u32 = 0b111;

    pub(super) fn stop() {
        // SAFETY: a register of its own, written in critical sections only.
        unsafe { (*SYST::PTR).csr.write(0) };
    }

    pub(super) fn once(core_clocks: u32) {
        stop();
        // SAFETY: as above.
        unsafe {
            (*SYST::PTR).rvr.write(core_clocks - 1);
            (*SYST::PTR).cvr.write(0);
            (*SYST::PTR).csr.write(ENABLE_WITH_INTERRUPT_FROM_CORE);
        }
    }
}
