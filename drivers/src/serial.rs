//! Serial ports, as Modbus RTU, serial text and the node link open them.

use std::{io, path::PathBuf};
use tokio_serial::{DataBits, SerialPortBuilderExt, SerialStream, StopBits};

pub use tokio_serial::Parity;

/// A serial port and how it is set, written `"19200 8N1"` in the site file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Port {
    /// The device file; one under `/dev/serial/by-path` stays the same when a cable is moved back.
    pub path: PathBuf,
    /// Bits per second.
    pub baud: u32,
    /// 5 to 8.
    pub data_bits: u8,
    /// None, even or odd.
    pub parity: Parity,
    /// 1 or 2.
    pub stop_bits: u8,
}

impl Port {
    /// Opens the port.
    pub fn open(&self) -> io::Result<SerialStream> {
        let data_bits = match self.data_bits {
            5 => DataBits::Five,
            6 => DataBits::Six,
            7 => DataBits::Seven,
            _ => DataBits::Eight,
        };
        let stop_bits = if self.stop_bits == 2 { StopBits::Two } else { StopBits::One };
        let port = tokio_serial::new(self.path.to_string_lossy(), self.baud);
        Ok(port.data_bits(data_bits).parity(self.parity).stop_bits(stop_bits).open_native_async()?)
    }
}

/// Why a port does not work, in words a site engineer understands.
pub(crate) fn explain(port: &Port, error: &io::Error) -> String {
    let path = port.path.display();
    match error.kind() {
        io::ErrorKind::NotFound => format!("there is no port {path}"),
        io::ErrorKind::PermissionDenied => {
            format!("{path} may not be opened; the service has to be in the group that owns it")
        }
        _ if error.to_string().contains("busy") => format!("{path} is used by another program"),
        _ => format!("{path}: {error}"),
    }
}
