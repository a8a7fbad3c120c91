//! Altered copies of texts.

use std::path::{Path, PathBuf};

use bert_core::device::test_devices;
use bert_heads::Error;
use bert_heads::augment::{AugmentOptions, Augmenter};

const TEXTS: [&str; 3] = [
    "The old cat sat, 7 on the mat!",
    "Paris is in France (hello).",
    "quick brown fox",
];

fn fixture() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../bert-core/fixtures/tiny-pretraining")
}

fn options(share: f64) -> AugmentOptions {
    AugmentOptions {
        share,
        seed: 3,
        ..AugmentOptions::default()
    }
}

/// Words, and what is between them.
fn parts(text: &str) -> (Vec<String>, Vec<String>) {
    let split = |keep: fn(char) -> bool| -> Vec<String> {
        let parts = text.split(|c| !keep(c));
        parts
            .filter(|part| !part.is_empty())
            .map(str::to_owned)
            .collect()
    };
    (split(char::is_alphabetic), split(|c| !c.is_alphabetic()))
}

#[test]
fn some_words_are_replaced_by_others_and_nothing_else() {
    for (label, device) in test_devices() {
        let augmenter = Augmenter::from_dir(fixture(), &device).unwrap();
        for share in [0.01, 0.5, 1.0] {
            let numbered: Vec<_> = TEXTS.into_iter().zip(0..).collect();
            let copies = augmenter.augment(&numbered, &options(share)).unwrap();
            for (text, copy) in TEXTS.iter().zip(copies) {
                let copy = copy.unwrap();
                let ((words, between), (new_words, new_between)) = (parts(text), parts(&copy));
                assert_eq!(
                    (between, words.len()),
                    (new_between, new_words.len()),
                    "{label}: {copy}"
                );
                let pairs = || words.iter().zip(&new_words);
                let changed = pairs()
                    .filter(|(a, b)| a.to_lowercase() != b.to_lowercase())
                    .count();
                let expected = (share * words.len() as f64).round().max(1.0) as usize;
                assert_eq!(changed, expected, "{label}: {text} to {copy}");
                let capital = |word: &String| word.chars().next().unwrap().is_uppercase();
                assert!(
                    pairs().all(|(a, b)| !capital(a) || capital(b)),
                    "{label}: {copy}"
                );
            }
        }
    }
}

#[test]
fn a_copy_depends_on_its_number_and_seed_alone() {
    let (_, device) = test_devices().swap_remove(0);
    let augmenter = Augmenter::from_dir(fixture(), &device).unwrap();
    let copy = |texts: &[(&str, u64)], seed| {
        let options = AugmentOptions {
            seed,
            top_k: 50,
            ..options(0.5)
        };
        augmenter
            .augment(texts, &options)
            .unwrap()
            .swap_remove(0)
            .unwrap()
    };
    let alone = copy(&[(TEXTS[0], 5)], 1);
    assert_eq!(
        alone,
        copy(&[(TEXTS[0], 5), (TEXTS[1], 6), (TEXTS[2], 7)], 1)
    );
    let others: Vec<String> = (6..12)
        .map(|number| copy(&[(TEXTS[0], number)], 1))
        .collect();
    assert!(others.iter().any(|other| *other != alone), "{others:?}");
    let seeds: Vec<String> = (2..8).map(|seed| copy(&[(TEXTS[0], 5)], seed)).collect();
    assert!(seeds.iter().any(|other| *other != alone), "{seeds:?}");
}

#[test]
fn what_has_no_words_stays_and_long_texts_are_altered_at_their_beginning() {
    let (_, device) = test_devices().swap_remove(0);
    let augmenter = Augmenter::from_dir(fixture(), &device).unwrap();
    let long = "the cat ".repeat(40);
    let texts = [("1 + 2 ?", 0), ("", 1), (long.as_str(), 2)];
    let copies = augmenter.augment(&texts, &options(1.0)).unwrap();
    assert_eq!((&copies[0], &copies[1]), (&None, &None));
    let copy = copies[2].as_deref().unwrap();
    // 48 positions, two of them special.
    let words: Vec<&str> = copy.split_whitespace().collect();
    assert_eq!(words.len(), 80);
    let untouched = words.iter().rev().zip(["cat", "the"].iter().cycle());
    assert_eq!(untouched.take_while(|(a, b)| a == b).count(), 80 - 46);
}

#[test]
fn options_and_models_that_make_no_sense_are_refused() {
    let (_, device) = test_devices().swap_remove(0);
    let augmenter = Augmenter::from_dir(fixture(), &device).unwrap();
    let default = AugmentOptions::default();
    for bad in [
        AugmentOptions {
            share: 0.0,
            ..default
        },
        AugmentOptions {
            share: 1.5,
            ..default
        },
        AugmentOptions {
            top_k: 0,
            ..default
        },
        AugmentOptions {
            temperature: 0.0,
            ..default
        },
        AugmentOptions {
            temperature: f64::NAN,
            ..default
        },
    ] {
        let copies = augmenter.augment(&[(TEXTS[0], 0)], &bad);
        assert!(
            matches!(copies, Err(Error::InvalidOption { .. })),
            "{bad:?}"
        );
    }
    let headless = fixture().join("../heads/token");
    assert!(Augmenter::from_dir(headless, &device).is_err());
}
