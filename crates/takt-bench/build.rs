//! Tells the crate which compiler built it, since a figure without its compiler means little.

use std::process::Command;

fn main() {
    let compiler = std::env::var("RUSTC").unwrap_or_else(|_| "rustc".to_owned());
    let asked = Command::new(compiler).arg("--version").output();
    let version = asked.ok().and_then(|output| String::from_utf8(output.stdout).ok());
    let version = version.as_deref().map_or("an unknown rustc", str::trim);
    println!("cargo::rustc-env=TAKT_BENCH_RUSTC={version}");
    println!("cargo::rerun-if-changed=build.rs");
}
