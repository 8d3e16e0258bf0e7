//! The gateway as its users run it, against parts that are not ours: mosquitto, pymodbus, a plain HTTP server.

mod acts;
mod audit;
mod explain;
mod kill;
mod nodes;
mod operations;
mod rates;
mod reload;
mod signing;
mod site;
mod views;
