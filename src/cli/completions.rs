//! `gradcast completions`.

use std::process::ExitCode;

use clap::CommandFactory;
use clap_complete::Shell;

use super::{Cli, Failure};

/// Print shell completions
#[derive(clap::Args)]
#[command(after_help = "\
Examples:
  gradcast completions bash > ~/.local/share/bash-completion/completions/gradcast
  gradcast completions zsh > ~/.zfunc/_gradcast
  gradcast completions fish > ~/.config/fish/completions/gradcast.fish")]
pub struct Args {
    #[arg(value_enum)]
    shell: Shell,
}

pub fn run(args: &Args) -> Result<ExitCode, Failure> {
    clap_complete::generate(args.shell, &mut Cli::command(), "gradcast", &mut std::io::stdout());
    Ok(ExitCode::SUCCESS)
}
