//! UART0, by embassy's buffered driver.

use embassy_rp::{
    Peri, bind_interrupts,
    peripherals::{PIN_0, PIN_1, UART0},
    uart::{BufferedInterruptHandler, BufferedUart, Config, Error},
};
use embassy_time::Timer;
use embedded_io_async::{ErrorType, Read, Write};
use quaywatch_board::DrainTransmitter;
use static_cell::ConstStaticCell;

bind_interrupts!(struct Interrupts { UART0_IRQ => BufferedInterruptHandler<UART0>; });

/// Bits per second, 8N1: what the gateway's line has unless its site file says otherwise.
const BAUD: u32 = 115_200;

static TO_SEND: ConstStaticCell<[u8; 256]> = ConstStaticCell::new([0; 256]);
/// Two of the gateway's largest frames: it sends the next only after an answer or a timeout.
static RECEIVED: ConstStaticCell<[u8; 512]> = ConstStaticCell::new([0; 512]);

/// The serial port.
pub struct Line(BufferedUart);

impl Line {
    /// Opens it.
    pub fn open(uart: Peri<'static, UART0>, transmit: Peri<'static, PIN_0>, receive: Peri<'static, PIN_1>) -> Self {
        let mut config = Config::default();
        config.baudrate = BAUD;
        Self(BufferedUart::new(uart, transmit, receive, Interrupts, TO_SEND.take(), RECEIVED.take(), config))
    }
}

impl ErrorType for Line {
    type Error = Error;
}

impl Read for Line {
    async fn read(&mut self, bytes: &mut [u8]) -> Result<usize, Error> {
        self.0.read(bytes).await
    }
}

impl Write for Line {
    async fn write(&mut self, bytes: &[u8]) -> Result<usize, Error> {
        self.0.write(bytes).await
    }

    async fn flush(&mut self) -> Result<(), Error> {
        self.0.flush().await
    }
}

impl DrainTransmitter for Line {
    async fn drain(&mut self) {
        // What flushing waits for is the buffer; the chip's own 32 bytes follow.
        let _ = self.0.flush().await;
        while self.0.busy() {
            Timer::after_micros(100).await;
        }
    }
}
