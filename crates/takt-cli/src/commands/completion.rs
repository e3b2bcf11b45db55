//! `takt completion`: what a shell needs to complete commands.

use clap::CommandFactory;
use clap_complete::{Shell, generate};

use super::Cli;
use crate::exit::Failure;
use crate::output::write;

#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// The shell.
    shell: Shell,
}

pub(super) fn run(args: &Args) -> Result<u8, Failure> {
    let mut script = vec![];
    generate(args.shell, &mut Cli::command(), "takt", &mut script);
    write(&String::from_utf8_lossy(&script)).map(|_| 0)
}
