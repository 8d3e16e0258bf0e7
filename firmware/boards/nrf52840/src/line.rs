//! UARTE0, by embassy's buffered driver.

use embassy_nrf::{
    Peri, bind_interrupts,
    buffered_uarte::{BufferedUarte, Error, InterruptHandler},
    peripherals::{P0_06, P0_08, PPI_CH0, PPI_CH1, PPI_GROUP0, TIMER1, UARTE0},
    uarte::{Baudrate, Config},
};
use embassy_time::Timer;
use embedded_io_async::{ErrorType, Read, Write};
use quaywatch_board::DrainTransmitter;
use static_cell::ConstStaticCell;

bind_interrupts!(struct Interrupts { UARTE0 => InterruptHandler<UARTE0>; });

static TO_SEND: ConstStaticCell<[u8; 256]> = ConstStaticCell::new([0; 256]);
/// Two of the gateway's largest frames: it sends the next only after an answer or a timeout.
static RECEIVED: ConstStaticCell<[u8; 512]> = ConstStaticCell::new([0; 512]);

/// The serial port.
pub struct Line(BufferedUarte<'static>);

impl Line {
    /// Opens it with its pins (transmit, receive) and what the driver counts received bytes with.
    pub fn open(
        uart: Peri<'static, UARTE0>,
        pins: (Peri<'static, P0_06>, Peri<'static, P0_08>),
        counter: (Peri<'static, TIMER1>, Peri<'static, PPI_CH0>, Peri<'static, PPI_CH1>, Peri<'static, PPI_GROUP0>),
    ) -> Self {
        let mut config = Config::default();
        // What the gateway's line has unless its site file says otherwise.
        config.baudrate = Baudrate::Baud115200;
        let (timer, first, second, group) = counter;
        Self(BufferedUarte::new(
            uart,
            timer,
            first,
            second,
            group,
            pins.1,
            pins.0,
            Interrupts,
            config,
            RECEIVED.take(),
            TO_SEND.take(),
        ))
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
        let _ = self.0.flush().await;
        // The last byte may still be on its way: 87 us.
        Timer::after_micros(100).await;
    }
}
