//! One target of `fuzz`, named by `FUZZ_TARGET`, under libFuzzer. `FUZZ_SEEDS` names a folder: then
//! its first inputs are written there and nothing is run.
#![no_main]

use std::path::PathBuf;
use std::sync::OnceLock;
use std::{env, fs, process};

static TARGET: OnceLock<fn(&[u8])> = OnceLock::new();

fn choose() {
    let name = env::var("FUZZ_TARGET").unwrap_or_default();
    if name.is_empty() {
        for target in fuzz::TARGETS {
            println!("{} {}", target.name, target.max_bytes);
        }
        process::exit(0);
    }
    let Some(target) = fuzz::find(&name) else {
        eprintln!("FUZZ_TARGET={name} is no target; without it all are listed");
        process::exit(2);
    };
    if let Some(folder) = env::var_os("FUZZ_SEEDS").map(PathBuf::from) {
        for (number, seed) in fuzz::seeds::of(&name).iter().enumerate() {
            if let Err(error) = fs::write(folder.join(format!("seed-{number}")), seed) {
                eprintln!("{}: {error}", folder.display());
                process::exit(2);
            }
        }
        process::exit(0);
    }
    let _ = TARGET.set(target.run);
}

libfuzzer_sys::fuzz_target!(init: choose(), |input: &[u8]| {
    if let Some(run) = TARGET.get() {
        run(input);
    }
});
