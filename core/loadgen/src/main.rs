//! The load viewer: many WHEP viewers against any server, and the bare loops that say what the
//! machine could do at best.
//!
//! Belongs here: viewers (ICE, DTLS, SRTP) of our own, their counting, the bare loops. Does not:
//! anything of `peer`, `fanout` or `engine` (a judge does not share the accused's code; formats in
//! `wire` may be shared), starting servers and tables (`streamhub/bench`). Its own program;
//! nothing imports it. Prints one JSON object on stdout; progress on stderr.

mod args;
mod assembly;
mod delay;
mod driver;
mod figures;
mod ingest_limit;
mod limit;
mod relay;
mod sdp;
mod signalling;
mod sys;
mod tally;
mod viewer;
mod watch;

use std::process::ExitCode;

fn main() -> ExitCode {
    let command = match args::parse(std::env::args().skip(1)) {
        Ok(command) => command,
        Err(sentence) => {
            eprintln!("loadgen: {sentence}\n{}", args::USAGE);
            return ExitCode::from(2);
        }
    };
    sys::raise_open_files();
    let done = match &command {
        args::Command::Help => {
            println!("{}", args::USAGE);
            return ExitCode::SUCCESS;
        }
        args::Command::Watch(args) => watch::run(args),
        args::Command::Limit(args) => limit::run(args),
        args::Command::LimitIngest(args) => ingest_limit::run(args),
        args::Command::Relay(args) => relay::run(args),
    };
    match done {
        Ok(result) => {
            println!("{result}");
            ExitCode::SUCCESS
        }
        Err(sentence) => {
            eprintln!("loadgen: {sentence}");
            ExitCode::FAILURE
        }
    }
}
