//! `takt man`: the manual pages, from the same words as the help.

use std::path::PathBuf;

use clap::CommandFactory;

use super::Cli;
use crate::exit::{Failure, INTERNAL, USAGE};
use crate::output::{talk, write};

#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:\n  \
    takt man | man -l -\n  \
    takt man --dir ~/.local/share/man/man1")]
pub(super) struct Args {
    /// Write a page for every command into this folder; without it, takt(1) goes to stdout
    #[arg(long)]
    dir: Option<PathBuf>,
}

pub(super) fn run(args: &Args) -> Result<u8, Failure> {
    let command = Cli::command();
    let Some(dir) = &args.dir else {
        let mut page = vec![];
        clap_mangen::Man::new(command).render(&mut page).map_err(|error| {
            Failure::new(INTERNAL, format!("cannot write the page: {error}"), "")
        })?;
        return write(&String::from_utf8_lossy(&page)).map(|_| 0);
    };
    let written =
        std::fs::create_dir_all(dir).and_then(|()| clap_mangen::generate_to(command, dir));
    written.map_err(|error| {
        let message = format!("cannot write pages into `{}`: {error}", dir.display());
        Failure::new(USAGE, message, "name a folder that can be written to")
    })?;
    talk(&format!("the pages are in `{}`; read them with `man takt`", dir.display()));
    Ok(0)
}
