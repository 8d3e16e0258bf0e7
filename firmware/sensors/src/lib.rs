//! Drivers of sensors that no published embedded-hal 1.0 driver exists for: badge readers by [`wiegand`].
//!
//! Every other part that a node reads has a good driver of its own, which its board uses directly: lis3dh-async and
//! adxl345_driver2 (accelerometers), hx711 and ads1x1x (load cells), vl53l0x (time of flight), bme280-rs and sht4x (weather),
//! onewire (DS18B20), ina219 (supply).
//!
//! A driver turns edges and registers into readings. **It does not know what a reading means**: that is the node's to decide.
#![no_std]

#[cfg(test)]
extern crate std;

pub mod wiegand;
