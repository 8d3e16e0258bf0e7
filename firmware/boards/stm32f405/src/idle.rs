//! Runs tasks, and sleeps while none has anything to do.
//!
//! embassy's own executor waits for an *event*, which QEMU does not: it would take a whole core of the host.

use crate::machine;
use core::sync::atomic::{AtomicBool, Ordering};
use embassy_executor::{Spawner, raw::Executor};
use static_cell::StaticCell;

static EXECUTOR: StaticCell<Executor> = StaticCell::new();
static IS_WOKEN: AtomicBool = AtomicBool::new(true);

/// Never returns.
pub fn run(begin: impl FnOnce(Spawner)) -> ! {
    let executor: &'static Executor = EXECUTOR.init(Executor::new(core::ptr::null_mut()));
    begin(executor.spawner());
    loop {
        while IS_WOKEN.swap(false, Ordering::AcqRel) {
            poll(executor);
        }
        // Masked, so that an interrupt between the look and the sleep is not slept through: it is pending, and ends the
        // sleep before it is served.
        cortex_m::interrupt::disable();
        if !IS_WOKEN.load(Ordering::Acquire) {
            machine::sleeps();
            cortex_m::asm::wfi();
            machine::woke();
        }
        serve();
    }
}

#[expect(unsafe_code, reason = "embassy asks that only the executor's own thread polls it, and not from within a poll")]
fn poll(executor: &'static Executor) {
    // SAFETY: called from `run` only, which runs once: its static is taken.
    unsafe { executor.poll() };
}

#[expect(unsafe_code, reason = "takes interrupts again after a sleep")]
fn serve() {
    // SAFETY: `run` is in no critical section.
    unsafe { cortex_m::interrupt::enable() };
}

#[expect(unsafe_code, reason = "the name is embassy's")]
#[unsafe(export_name = "__pender")]
fn pend(_: *mut ()) {
    IS_WOKEN.store(true, Ordering::Release);
}
