//! Every target over its first inputs, over all they look like when cut, and over what a search has
//! found before (`corpus/<target>/`), by the ordinary toolchain.

use std::fs;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::Path;

use fuzz::{TARGETS, Target, seeds};

fn corpus(target: &Target) -> Vec<(String, Vec<u8>)> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("corpus")
        .join(target.name);
    let Ok(entries) = fs::read_dir(folder) else {
        return Vec::new();
    };
    let read = |entry: fs::DirEntry| {
        let name = entry.file_name().to_string_lossy().into_owned();
        (name, fs::read(entry.path()).expect("a readable file"))
    };
    entries
        .map(|entry| read(entry.expect("an entry")))
        .collect()
}

fn run(target: &Target, name: &str, input: &[u8]) {
    let ran = catch_unwind(AssertUnwindSafe(|| (target.run)(input)));
    assert!(ran.is_ok(), "{} fails at {name}", target.name);
}

#[test]
fn every_target_holds_on_its_seeds_and_on_what_was_found() {
    for target in TARGETS {
        let seeds = seeds::of(target.name);
        assert!(!seeds.is_empty(), "{} has no seeds", target.name);
        for (number, seed) in seeds.iter().enumerate() {
            assert!(seed.len() <= target.max_bytes, "{} bytes", seed.len());
            run(target, &format!("seed {number}"), seed);
        }
        for (name, input) in corpus(target) {
            run(target, &name, &input);
        }
        run(target, "nothing", &[]);
    }
}

#[test]
fn every_target_holds_where_its_seeds_are_cut() {
    for target in TARGETS {
        for seed in seeds::of(target.name) {
            let step = 1 + seed.len() / 64;
            for end in (0..seed.len()).step_by(step) {
                run(target, &format!("cut at {end}"), &seed[..end]);
            }
        }
    }
}

#[test]
fn every_folder_of_the_corpus_is_a_targets() {
    let corpus = Path::new(env!("CARGO_MANIFEST_DIR")).join("corpus");
    for entry in fs::read_dir(corpus).expect("the corpus") {
        let name = entry
            .expect("an entry")
            .file_name()
            .to_string_lossy()
            .into_owned();
        assert!(fuzz::find(&name).is_some(), "{name} is no target");
    }
}
