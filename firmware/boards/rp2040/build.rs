//! Gives the linker the `memory.x` for an image with a bootloader before it, or without. Without, the second stage of the boot
//! ROM's loader comes first; it is the bootloader's otherwise.

use std::{env, fs, path::Path};

fn main() {
    let place = if env::var_os("CARGO_FEATURE_UPDATES").is_some() {
        "slot"
    } else {
        println!("cargo::rustc-link-arg-bins=-Tlink-rp.x");
        "whole"
    };
    let out = env::var("OUT_DIR").expect("cargo sets it");
    let map = format!("memory-{place}.x");
    fs::copy(&map, Path::new(&out).join("memory.x")).expect("it is beside this file");
    println!("cargo::rustc-link-search={out}");
    println!("cargo::rerun-if-changed={map}");
}
