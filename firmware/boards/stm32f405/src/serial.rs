//! USART1 by interrupts, through two pipes.
//!
//! Not embassy's `BufferedUart`: its handler clears a flag by read-modify-write of the status register, which can clear
//! *received* too, when a byte comes in between; under load it lost one frame in fifty in QEMU.

use core::convert::Infallible;
use embassy_stm32::{
    Peri, bind_interrupts, interrupt, pac,
    peripherals::{PA9, PA10, USART1},
    usart::{Config, Uart},
};
use embassy_sync::{blocking_mutex::raw::CriticalSectionRawMutex, pipe::Pipe, signal::Signal};
use embedded_io_async::{ErrorType, Read, Write};
use quaywatch_board::DrainTransmitter;

/// Bits per second, 8N1: what the gateway's line has unless its site file says otherwise.
const BAUD: u32 = 115_200;

/// Two of the gateway's largest frames: it sends the next only after an answer or a timeout. What does not fit is dropped,
/// and the frame it belonged to is noise.
static RECEIVED: Pipe<CriticalSectionRawMutex, 512> = Pipe::new();
static TO_SEND: Pipe<CriticalSectionRawMutex, 64> = Pipe::new();
/// The last stop bit has left, as far as is known.
static SENT: Signal<CriticalSectionRawMutex, ()> = Signal::new();

bind_interrupts!(struct Interrupts { USART1 => Handler; });

/// The serial port.
pub struct Line(());

impl Line {
    /// Opens it.
    pub fn open(usart: Peri<'static, USART1>, transmit: Peri<'static, PA9>, receive: Peri<'static, PA10>) -> Self {
        let mut config = Config::default();
        config.baudrate = BAUD;
        let uart = Uart::new_blocking(usart, receive, transmit, config).expect("the clocks give this baud rate");
        // It has set clocks, pins and baud rate; dropping it would switch them off.
        core::mem::forget(uart);
        pac::USART1.cr1().modify(|w| w.set_rxneie(true));
        let _ = Interrupts;
        unmask();
        Self(())
    }
}

#[expect(unsafe_code, reason = "the one place where this interrupt begins to be taken; its handler is bound above")]
fn unmask() {
    // SAFETY: no critical section relies on it being masked.
    unsafe { cortex_m::peripheral::NVIC::unmask(pac::Interrupt::USART1) };
}

impl ErrorType for Line {
    type Error = Infallible;
}

impl Read for Line {
    async fn read(&mut self, bytes: &mut [u8]) -> Result<usize, Infallible> {
        Ok(RECEIVED.read(bytes).await)
    }
}

impl Write for Line {
    async fn write(&mut self, bytes: &[u8]) -> Result<usize, Infallible> {
        let taken = TO_SEND.write(bytes).await;
        SENT.reset();
        critical_section::with(|_| pac::USART1.cr1().modify(|w| w.set_txeie(true)));
        // On the chip the interrupt is pending already; QEMU raises none for an empty register.
        cortex_m::peripheral::NVIC::pend(pac::Interrupt::USART1);
        Ok(taken)
    }

    async fn flush(&mut self) -> Result<(), Infallible> {
        self.drain().await;
        Ok(())
    }
}

impl DrainTransmitter for Line {
    async fn drain(&mut self) {
        while !(TO_SEND.is_empty() && pac::USART1.sr().read().tc()) {
            SENT.wait().await;
        }
    }
}

struct Handler;

#[expect(
    unsafe_code,
    reason = "embassy's handlers are unsafe to call; this one is called by the interrupt it is bound to"
)]
impl interrupt::typelevel::Handler<interrupt::typelevel::USART1> for Handler {
    unsafe fn on_interrupt() {
        receive();
        transmit();
    }
}

fn receive() {
    loop {
        let status = pac::USART1.sr().read();
        if !status.rxne() && !status.ore() {
            return;
        }
        let data = pac::USART1.dr().read().0 as u8;
        if status.rxne() {
            let _ = RECEIVED.try_write(&[data]);
        }
    }
}

fn transmit() {
    let usart = pac::USART1;
    let mut byte = [0];
    while usart.cr1().read().txeie() && usart.sr().read().txe() {
        if TO_SEND.try_read(&mut byte) == Ok(1) {
            usart.dr().write(|w| w.0 = u32::from(byte[0]));
        } else {
            usart.cr1().modify(|w| {
                w.set_txeie(false);
                w.set_tcie(true);
            });
        }
    }
    if usart.cr1().read().tcie() && usart.sr().read().tc() {
        usart.cr1().modify(|w| w.set_tcie(false));
        SENT.signal(());
    }
}
