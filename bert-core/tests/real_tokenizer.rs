//! The tokenizer gives what transformers gives, over the vocabularies Google published.
//!
//! They are not in this repository. The harness is written by hand (`harness = false`), so that a
//! run without them says so instead of passing.

#[path = "encoder/tokenizer_cases/mod.rs"]
mod tokenizer_cases;

use std::path::Path;
use std::process::ExitCode;

use bert_core::tokenizer::BertTokenizer;
use tokenizer_cases::{CHECKS, fixture, options};

fn main() -> ExitCode {
    // Other harnesses answer `cargo test -- --list`; this one has nothing to list.
    if std::env::args().any(|argument| argument == "--list") {
        return ExitCode::SUCCESS;
    }
    let Some(data) = std::env::var_os("BERT_DATA_DIR") else {
        println!("0 tests: set BERT_DATA_DIR to a directory that holds vocab/");
        return ExitCode::SUCCESS;
    };
    let vocab_dir = Path::new(&data).join("vocab");
    let fixture = fixture("reference.json");
    let (mut passed, mut failed) = (0, 0);
    for (name, vocabulary) in fixture["vocabularies"].as_object().unwrap() {
        let path = vocab_dir.join(vocabulary["file"].as_str().unwrap());
        let tokenizer = BertTokenizer::from_vocab_file(&path, &options(vocabulary));
        for (list, check) in CHECKS {
            let outcome = match &tokenizer {
                Ok(tokenizer) => check(&fixture, name, tokenizer),
                Err(error) => Err(error.to_string()),
            };
            match outcome {
                Ok(0) => println!("test {name}::{list} ... ignored, no cases"),
                Ok(cases) => {
                    println!("test {name}::{list} ({cases} cases) ... ok");
                    passed += 1;
                }
                Err(message) => {
                    println!("test {name}::{list} ... FAILED\n{message}");
                    failed += 1;
                }
            }
        }
    }
    let verdict = if failed == 0 { "ok" } else { "FAILED" };
    println!("\ntest result: {verdict}. {passed} passed; {failed} failed");
    if failed == 0 {
        ExitCode::SUCCESS
    } else {
        ExitCode::FAILURE
    }
}
