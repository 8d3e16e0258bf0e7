//! RS-485 behind a serial port that cannot switch its driver by itself.

use embedded_hal::digital::OutputPin;
use embedded_io_async::{ErrorType, Read, Write};

/// A serial port that can say when its last stop bit has left.
#[expect(async_fn_in_trait, reason = "boards run on one thread")]
pub trait DrainTransmitter {
    /// Waits until nothing is being sent any more.
    async fn drain(&mut self);
}

/// A serial port with the pin that enables the line's driver. The driver holds the bus only while something is sent.
pub struct HalfDuplex<S, P> {
    serial: S,
    driver: P,
}

impl<S, P: OutputPin> HalfDuplex<S, P> {
    /// A line that listens.
    pub fn new(serial: S, mut driver: P) -> Self {
        // GPIO of a microcontroller does not fail.
        let _ = driver.set_low();
        Self { serial, driver }
    }
}

impl<S: ErrorType, P> ErrorType for HalfDuplex<S, P> {
    type Error = S::Error;
}

impl<S: Read, P> Read for HalfDuplex<S, P> {
    async fn read(&mut self, bytes: &mut [u8]) -> Result<usize, S::Error> {
        self.serial.read(bytes).await
    }
}

impl<S: Write + DrainTransmitter, P: OutputPin> Write for HalfDuplex<S, P> {
    /// Sends everything and lets go of the bus. The shell writes a whole turn at once.
    async fn write(&mut self, bytes: &[u8]) -> Result<usize, S::Error> {
        let _ = self.driver.set_high();
        let sent = self.serial.write_all(bytes).await;
        self.serial.drain().await;
        // Whatever became of it: a node that keeps the driver on silences the bus.
        let _ = self.driver.set_low();
        sent.map(|()| bytes.len())
    }

    async fn flush(&mut self) -> Result<(), S::Error> {
        Ok(())
    }
}
