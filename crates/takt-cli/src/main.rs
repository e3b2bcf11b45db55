//! The binary `takt`: server, command line and developer sandbox.

fn main() {}
