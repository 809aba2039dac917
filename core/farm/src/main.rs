//! The camera simulator: thousands of RTSP cameras from a few encoded clips.
//!
//! Belongs here: the clips in memory, each camera's place in its clip, faults under test control,
//! one thread with its sockets. Does not: encoding (`streamhub/farm_clips.py`), the RTSP dialogue
//! (`peer::rtsp_server`), formats (`wire`). Its own program; nothing imports it.
//! Described for its users in docs/farm.md.

mod args;
mod catalog;
mod clip;
mod connection;
mod control;
mod driver;
mod fault;
mod playback;
mod sei;
mod send_log;
mod signals;
mod sound;
mod udp;

use std::process::ExitCode;

fn main() -> ExitCode {
    let args = match args::Args::parse(std::env::args().skip(1)) {
        Ok(args::Parsed::Run(args)) => args,
        Ok(args::Parsed::Help) => {
            driver::say(args::USAGE);
            return ExitCode::SUCCESS;
        }
        Err(sentence) => {
            eprintln!("farm: {sentence}\n{}", args::USAGE);
            return ExitCode::from(2);
        }
    };
    match driver::run(&args) {
        Ok(()) => ExitCode::SUCCESS,
        Err(sentence) => {
            eprintln!("farm: {sentence}");
            ExitCode::FAILURE
        }
    }
}
