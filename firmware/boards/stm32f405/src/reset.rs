//! Why the chip began anew.

use embassy_stm32::pac;
use quaywatch_node::ResetCause;

/// Reads the chip's flags and clears them for the next time. A power-on sets the brown-out flag too, and every reset the
/// pin's: hence the order.
pub fn cause() -> ResetCause {
    let flags = pac::RCC.csr().read();
    pac::RCC.csr().modify(|w| w.set_rmvf(true));
    if flags.wdgrstf() || flags.wwdgrstf() {
        ResetCause::Watchdog
    } else if flags.sftrstf() {
        ResetCause::Software
    } else if flags.porrstf() {
        ResetCause::PowerOn
    } else if flags.borrstf() {
        ResetCause::BrownOut
    } else if flags.padrstf() {
        ResetCause::Pin
    } else {
        ResetCause::Unknown
    }
}
