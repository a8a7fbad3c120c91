//! Which tokens are picked and what stands in their place.

use std::collections::HashSet;

use bert_pretrain::Error;
use bert_pretrain::instances::{
    MaskVocabulary, MaskingOptions, MaskingStrategy, Replacement, mask_tokens, stream,
};

use super::{FIRST_WORD, assert_chance, tokenizer};

const CLS: u32 = 2;
const SEP: u32 = 3;
const MASK: u32 = 4;

fn vocabulary() -> MaskVocabulary {
    MaskVocabulary::new(&tokenizer(37)).unwrap()
}

fn options(whole_word: bool, strategy: MaskingStrategy) -> MaskingOptions {
    MaskingOptions {
        whole_word,
        strategy,
        ..MaskingOptions::default()
    }
}

/// `[CLS] A [SEP] B [SEP]` with all words of the vocabulary in turn.
fn sequence(a: usize, b: usize) -> Vec<u32> {
    let mut words = (FIRST_WORD..FIRST_WORD + 37).cycle();
    let mut ids = vec![CLS];
    ids.extend(words.by_ref().take(a));
    ids.push(SEP);
    ids.extend(words.take(b));
    ids.push(SEP);
    ids
}

#[test]
fn the_vocabulary_knows_special_tokens_and_pieces() {
    let vocabulary = vocabulary();
    assert_eq!((vocabulary.mask_id(), vocabulary.size()), (MASK, 42));
    let ids = |is: &dyn Fn(u32) -> bool| (0..50).filter(|&id| is(id)).collect::<Vec<u32>>();
    assert_eq!(ids(&|id| vocabulary.is_special(id)), [0, 1, 2, 3, 4]);
    assert_eq!(
        ids(&|id| vocabulary.is_continuation(id)),
        (7..42).step_by(3).collect::<Vec<u32>>()
    );
}

#[test]
fn the_number_of_picks_is_rounded_as_python_does() {
    let vocabulary = vocabulary();
    let picks = |length: usize, max_predictions| {
        let options = MaskingOptions {
            max_predictions,
            ..MaskingOptions::default()
        };
        let ids = vec![FIRST_WORD; length];
        mask_tokens(&ids, &vocabulary, &options, &mut stream(0, &[]))
            .positions
            .len()
    };
    // 1.5, 4.5, 7.5, 10.5, 13.5 round to even.
    let halves = [10, 30, 50, 70, 90].map(|length| picks(length, 100));
    assert_eq!(halves, [2, 4, 8, 10, 14]);
    assert_eq!(
        [1, 2, 3, 9, 11].map(|length| picks(length, 100)),
        [1, 1, 1, 1, 2]
    );
    assert_eq!(
        [128, 130, 134, 512].map(|length| picks(length, 20)),
        [19, 20, 20, 20]
    );
    assert_eq!(picks(512, 80), 77);
    assert_eq!(picks(0, 20), 0);
}

#[test]
fn whatever_is_picked_can_be_put_back() {
    let vocabulary = vocabulary();
    for strategy in [MaskingStrategy::Fixed, MaskingStrategy::PerToken] {
        for whole_word in [false, true] {
            let options = options(whole_word, strategy);
            for seed in 0..300 {
                let ids = sequence(13 + seed as usize % 60, 32);
                let masked = mask_tokens(&ids, &vocabulary, &options, &mut stream(seed, &[]));
                assert!(masked.positions.is_sorted_by(|a, b| a < b));
                assert_eq!(masked.positions.len(), masked.labels.len());
                let mut restored = masked.input_ids.clone();
                for (&position, &label) in masked.positions.iter().zip(&masked.labels) {
                    assert!(!vocabulary.is_special(label));
                    assert_eq!(ids[position as usize], label);
                    restored[position as usize] = label;
                }
                assert_eq!(restored, ids);
                assert!(masked.input_ids.iter().all(|&id| id < 42));
                if strategy == MaskingStrategy::Fixed {
                    let most = (ids.len() as f64 * 0.15).round_ties_even() as usize;
                    assert!(masked.positions.len() <= most.min(20));
                    assert!(whole_word || masked.positions.len() == most.min(20));
                }
            }
        }
    }
}

#[test]
fn masks_of_a_generator_are_seventeen_in_twenty_and_nothing_is_random() {
    let vocabulary = vocabulary();
    let ids = sequence(70, 57);
    let options = MaskingOptions {
        replacement: Replacement::Mask,
        ..MaskingOptions::default()
    };
    let (mut picked, mut masks) = (0, 0);
    for seed in 0..2_000 {
        let masked = mask_tokens(&ids, &vocabulary, &options, &mut stream(seed, &[3]));
        for (&position, &label) in masked.positions.iter().zip(&masked.labels) {
            picked += 1;
            match masked.input_ids[position as usize] {
                MASK => masks += 1,
                id => assert_eq!(id, label),
            }
        }
    }
    assert_chance(masks, picked, 0.85, "[MASK]");
    // Settings of runs and files from before it read and look as they did.
    let plain = serde_json::to_value(MaskingOptions::default()).unwrap();
    assert!(plain.get("replacement").is_none(), "{plain}");
    let read: MaskingOptions = serde_json::from_value(plain).unwrap();
    assert_eq!(read, MaskingOptions::default());
    let json = serde_json::to_value(&options).unwrap();
    assert_eq!(json["replacement"], "mask");
}

#[test]
fn four_fifths_are_masks_and_random_tokens_come_from_the_whole_vocabulary() {
    let vocabulary = vocabulary();
    let ids = sequence(70, 57);
    for strategy in [MaskingStrategy::Fixed, MaskingStrategy::PerToken] {
        let options = options(false, strategy);
        let (mut picked, mut masks, mut unchanged) = (0, 0, 0);
        let mut others = [0; 42];
        for seed in 0..10_000 {
            let masked = mask_tokens(&ids, &vocabulary, &options, &mut stream(seed, &[1]));
            for (&position, &label) in masked.positions.iter().zip(&masked.labels) {
                picked += 1;
                match masked.input_ids[position as usize] {
                    MASK => masks += 1,
                    id if id == label => unchanged += 1,
                    id => others[id as usize] += 1,
                }
            }
        }
        assert!(picked > 150_000, "{picked}");
        // A random token is [MASK], or the very token, once in 42 times each.
        assert_chance(masks, picked, 0.8 + 0.1 / 42.0, "[MASK]");
        assert_chance(unchanged, picked, 0.1 + 0.1 / 42.0, "unchanged");
        assert_eq!(others[MASK as usize], 0);
        for special in [0, 1, CLS, SEP] {
            assert_chance(others[special as usize], picked, 0.1 / 42.0, "special");
        }
        for word in FIRST_WORD..42 {
            // Its own occurrences among the labels, one in 37, count as unchanged.
            let chance = 0.1 / 42.0 * 36.0 / 37.0;
            assert_chance(others[word as usize], picked, chance, "random token");
        }
    }
}

#[test]
fn every_place_is_picked_as_often_as_any_other() {
    let vocabulary = vocabulary();
    let ids = sequence(20, 17);
    const SEEDS: usize = 5000;
    let mut counts = vec![0; ids.len()];
    for seed in 0..SEEDS as u64 {
        let options = MaskingOptions::default();
        let masked = mask_tokens(&ids, &vocabulary, &options, &mut stream(seed, &[2]));
        assert_eq!(masked.positions.len(), 6);
        for position in masked.positions {
            counts[position as usize] += 1;
        }
    }
    for (position, count) in counts.into_iter().enumerate() {
        match ids[position] {
            CLS | SEP => assert_eq!(count, 0),
            _ => assert_chance(count, SEEDS, 6.0 / 37.0, "place"),
        }
    }
}

#[test]
fn whole_words_are_picked_as_a_whole() {
    let vocabulary = vocabulary();
    // Words of 2, 1, 3 and 1 tokens; the last piece has lost its head to the [SEP] in front.
    let [a, b, piece] = [5, 6, 7];
    let ids = [CLS, a, piece, b, a, piece, piece, SEP, piece, SEP];
    let words: [&[u32]; 4] = [&[1, 2], &[3], &[4, 5, 6], &[8]];
    for strategy in [MaskingStrategy::Fixed, MaskingStrategy::PerToken] {
        for (probability, most) in [(0.1, 1), (0.2, 2), (0.3, 3), (0.5, 5)] {
            let options = MaskingOptions {
                probability,
                ..options(true, strategy)
            };
            let mut seen = HashSet::new();
            for seed in 0..400 {
                let masked = mask_tokens(&ids, &vocabulary, &options, &mut stream(seed, &[]));
                let picked = |place: &u32| masked.positions.contains(place);
                for word in words {
                    assert!(word.iter().all(picked) || !word.iter().any(picked));
                    if word.iter().all(picked) {
                        seen.insert(word);
                    }
                }
                let count = masked.positions.len();
                match strategy {
                    MaskingStrategy::Fixed => assert!((1..=most).contains(&count), "{count}"),
                    _ => assert!(count <= 7),
                }
            }
            // A word that overflows is passed over; all others have their turn.
            let short = words.iter().filter(|word| word.len() <= most);
            match strategy {
                MaskingStrategy::Fixed => assert_eq!(seen.len(), short.count()),
                _ => assert_eq!(seen.len(), 4),
            }
        }
    }
}

#[test]
fn a_word_that_fits_nowhere_leaves_nothing_picked() {
    let vocabulary = vocabulary();
    let options = options(true, MaskingStrategy::Fixed);
    let masked = mask_tokens(
        &[CLS, 5, 7, 7, SEP],
        &vocabulary,
        &options,
        &mut stream(0, &[]),
    );
    assert!(masked.positions.is_empty());
    let only_special = [CLS, SEP, 1, MASK];
    let masked = mask_tokens(&only_special, &vocabulary, &options, &mut stream(0, &[]));
    assert_eq!(
        (masked.positions, masked.input_ids),
        (vec![], only_special.to_vec())
    );
    // Ids beyond the vocabulary are ordinary tokens.
    let masked = mask_tokens(&[77], &vocabulary, &options, &mut stream(0, &[]));
    assert_eq!(masked.labels, [77]);
}

#[test]
fn each_token_for_itself_has_the_spread_of_independent_draws() {
    let vocabulary = vocabulary();
    let ids = sequence(20, 20);
    let options = MaskingOptions {
        max_predictions: 1,
        ..options(false, MaskingStrategy::PerToken)
    };
    const SEEDS: usize = 5000;
    let (mut sum, mut squares, mut none) = (0, 0, 0);
    for seed in 0..SEEDS as u64 {
        let masked = mask_tokens(&ids, &vocabulary, &options, &mut stream(seed, &[]));
        let count = masked.positions.len();
        sum += count;
        squares += count * count;
        none += usize::from(count == 0);
    }
    assert_chance(sum, SEEDS * 40, 0.15, "picked");
    assert_chance(none, SEEDS, 0.85f64.powi(40), "nothing picked");
    let mean = sum as f64 / SEEDS as f64;
    let variance = squares as f64 / SEEDS as f64 - mean * mean;
    assert!((variance - 40.0 * 0.15 * 0.85).abs() < 0.4, "{variance}");
}

#[test]
fn impossible_options_are_named() {
    let refused = |options: MaskingOptions| match options.check().unwrap_err() {
        Error::InvalidOption { option, .. } => option,
        other => panic!("{other}"),
    };
    for probability in [-0.1, 1.5, f64::NAN] {
        let options = MaskingOptions {
            probability,
            ..Default::default()
        };
        assert_eq!(refused(options), "masking probability");
    }
    let options = MaskingOptions {
        max_predictions: 0,
        ..Default::default()
    };
    assert_eq!(refused(options), "max_predictions");
    MaskingOptions::default().check().unwrap();
}
