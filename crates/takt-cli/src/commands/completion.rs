//! `takt completion`: what a shell needs to complete commands.

use clap::CommandFactory;
use clap_complete::{Shell, generate};

use super::Cli;
use crate::exit::Failure;
use crate::output::{is_terminal, talk, write};

#[derive(Debug, clap::Args)]
#[command(after_help = "Install it with one of:\n  \
    takt completion bash > ~/.local/share/bash-completion/completions/takt\n  \
    takt completion zsh > ~/.zfunc/_takt          (with `fpath+=~/.zfunc` before `compinit`)\n  \
    takt completion fish > ~/.config/fish/completions/takt.fish")]
pub(super) struct Args {
    /// The shell
    shell: Shell,
}

pub(super) fn run(args: &Args) -> Result<u8, Failure> {
    let mut script = vec![];
    generate(args.shell, &mut Cli::command(), "takt", &mut script);
    write(&String::from_utf8_lossy(&script))?;
    if is_terminal() {
        talk("hint: `takt completion --help` says where to put this");
    }
    Ok(0)
}
