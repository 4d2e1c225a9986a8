//! What fuzzing has found worth keeping goes through the engine as any other test: a part of the corpus, and
//! every input that once broke something.

#[path = "../../fuzz/src/checks.rs"]
mod checks;
#[path = "../../tests/tests/engine/fib.rs"]
#[expect(dead_code, reason = "the tests of the programs use more of it")]
mod fib;
#[path = "../../tests/tests/engine/host/mod.rs"]
#[expect(dead_code, reason = "the tests of the programs use more of it")]
mod host;
#[path = "../../fuzz/src/network.rs"]
mod network;
#[path = "../../fuzz/src/play.rs"]
mod play;

use std::{fs, path::Path};

#[test]
fn inputs_of_the_fuzzer_break_nothing() {
    let fuzz = Path::new(env!("CARGO_MANIFEST_DIR")).join("../fuzz");
    let mut played = 0;
    for kept in ["corpus/engine", "crashes/engine"] {
        let inputs = fs::read_dir(fuzz.join(kept)).expect("a directory of inputs");
        for input in inputs {
            let path = input.expect("an input").path();
            println!("{}", path.display());
            play::play(&fs::read(&path).expect("an input can be read"));
            played += 1;
        }
    }
    assert!(played > 20, "{played} inputs");
}
