//! Documents cut into segments.

use std::collections::BTreeMap;

use bert_pretrain::Error;
use bert_pretrain::corpus::TokenizedDocument;
use bert_pretrain::instances::{PairOptions, SegmentPair, pairs_from_document, stream};

use super::{assert_chance, documents};

fn options(max_seq_length: usize) -> PairOptions {
    PairOptions {
        max_seq_length,
        short_seq_probability: 0.0,
        next_sentence: true,
    }
}

fn full_sentences(max_seq_length: usize) -> PairOptions {
    PairOptions {
        next_sentence: false,
        ..options(max_seq_length)
    }
}

fn pairs(documents: &[TokenizedDocument], options: &PairOptions, seed: u64) -> Vec<SegmentPair> {
    let special_tokens = if options.next_sentence { 3 } else { 2 };
    pairs_from_document(
        documents,
        0,
        options,
        special_tokens,
        &mut stream(seed, &[0, 0]),
    )
    .unwrap()
}

fn runs(documents: &[TokenizedDocument], options: &PairOptions, seed: u64) -> Vec<Vec<u32>> {
    let run = |pair: SegmentPair| {
        assert!(pair.second.is_empty() && !pair.is_random_next);
        pair.first
    };
    pairs(documents, options, seed)
        .into_iter()
        .map(run)
        .collect()
}

/// Formats pairs: `2+1` is a true pair of two sentences and one, `2?` two sentences and a random segment.
fn shape(pairs: &[SegmentPair]) -> String {
    let shape = |pair: &SegmentPair| match pair.is_random_next {
        true => format!("{}?", pair.first.len()),
        false => format!("{}+{}", pair.first.len(), pair.second.len()),
    };
    pairs.iter().map(shape).collect::<Vec<_>>().join(" ")
}

#[test]
fn all_ways_to_cut_three_sentences_have_their_chances() {
    // One token per sentence, so that lengths count sentences.
    let documents = documents(0, &[&[1, 1, 1], &[1, 1]]);
    const SEEDS: usize = 8000;
    let mut counts = BTreeMap::new();
    for seed in 0..SEEDS as u64 {
        let shape = shape(&pairs(&documents, &options(37), seed));
        *counts.entry(shape).or_insert(0) += 1;
    }
    // A is one sentence or two; then B is true, or the rest is put back and cut again.
    let expected = [
        ("1+2", 0.25),
        ("1? 1+1", 0.125),
        ("1? 1? 1?", 0.125),
        ("2+1", 0.25),
        ("2? 1?", 0.25),
    ];
    assert_eq!(
        counts.keys().collect::<Vec<_>>(),
        expected.iter().map(|(shape, _)| shape).collect::<Vec<_>>()
    );
    for (shape, chance) in expected {
        assert_chance(counts[shape], SEEDS, chance, shape);
    }
}

#[test]
fn a_corpus_worked_by_hand() {
    // Document 0: 10 11 | 12 13 14 | 15; document 1: 16 17 18 | 19. Seven tokens of text fit.
    let documents = documents(10, &[&[2, 3, 1], &[3, 1]]);
    let pair = |first: &[u32], second: &[u32], is_random_next| SegmentPair {
        first: first.to_vec(),
        second: second.to_vec(),
        is_random_next,
    };
    let possible_last = [
        pair(&[15], &[16, 17, 18, 19], true),
        pair(&[15], &[19], true),
    ];
    let mut seen = BTreeMap::new();
    for seed in 0..400 {
        let pairs = pairs(&documents, &options(10), seed);
        let key = match pairs.as_slice() {
            [one] if *one == pair(&[10, 11], &[12, 13, 14, 15], false) => "1+2",
            [one] if *one == pair(&[10, 11, 12, 13, 14], &[15], false) => "2+1",
            // Five tokens of A leave a wish for two: the first sentence alone has them, but seven
            // is the limit.
            [one, last] if one.first == [10, 11, 12, 13, 14] && possible_last.contains(last) => {
                let b: &[&[u32]] = &[&[16, 17], &[17, 18], &[19]];
                // A is the longer one: it gives up the token, not B.
                assert!(b.contains(&one.second.as_slice()), "{one:?}");
                "2? 1?"
            }
            [one, ..] if one.first == [10, 11] && one.is_random_next => {
                assert!([vec![16, 17, 18, 19], vec![19]].contains(&one.second));
                match &pairs[1..] {
                    [two] if *two == pair(&[12, 13, 14], &[15], false) => "1? 1+1",
                    [two, last] if two.first == [12, 13, 14] && two.is_random_next => {
                        assert!([vec![16, 17, 18, 19], vec![19]].contains(&two.second));
                        assert!(possible_last.contains(last), "{last:?}");
                        "1? 1? 1?"
                    }
                    other => panic!("{other:?}"),
                }
            }
            [one, last] if one.is_random_next && possible_last.contains(last) => {
                // Five and three are one too many for seven: A lost one at either end.
                assert!([[10, 11, 12, 13], [11, 12, 13, 14]].contains(&[
                    one.first[0],
                    one.first[1],
                    one.first[2],
                    one.first[3]
                ]));
                assert_eq!(
                    (one.first.len(), one.second.as_slice()),
                    (4, &[16, 17, 18][..])
                );
                "2? 1? cut"
            }
            other => panic!("{other:?}"),
        };
        *seen.entry(key).or_insert(0) += 1;
    }
    let shapes: Vec<&str> = seen.into_keys().collect();
    assert_eq!(
        shapes,
        ["1+2", "1? 1+1", "1? 1? 1?", "2+1", "2? 1?", "2? 1? cut"]
    );
}

#[test]
fn a_seed_gives_the_same_pairs_as_ever() {
    let documents = documents(10, &[&[2, 3, 1], &[3, 1]]);
    // Two sentences against 16 17 18, one token too many; then the last sentence again.
    let expected = [
        (vec![10, 11, 12, 13], vec![16, 17, 18]),
        (vec![15], vec![16, 17, 18, 19]),
    ]
    .map(|(first, second)| SegmentPair {
        first,
        second,
        is_random_next: true,
    });
    assert_eq!(pairs(&documents, &options(10), 7), expected);
}

#[test]
fn every_sentence_is_used_in_order_and_what_is_not_used_is_put_back() {
    let lengths = [13, 7, 5, 4, 37, 32, 1, 2, 13, 5, 7, 4, 1];
    let documents = documents(0, &[&lengths, &[5, 7, 13], &[4]]);
    let text: Vec<u32> = documents[0].concat();
    let starts: Vec<usize> = lengths
        .iter()
        .scan(0, |end, length| Some(std::mem::replace(end, *end + length)))
        .collect();
    // No pair comes near the limit, so that nothing is cut away.
    let long = PairOptions {
        short_seq_probability: 1.0,
        ..options(512)
    };
    let mut several = 0;
    for seed in 0..300 {
        let pairs = pairs(&documents, &long, seed);
        several += usize::from(pairs.len() > 2);
        let mut place = 0;
        for pair in &pairs {
            assert!(starts.contains(&place));
            let end = place + pair.first.len();
            assert_eq!(pair.first, text[place..end]);
            place = end;
            if pair.is_random_next {
                assert!(pair.second[0] as usize >= text.len(), "another document");
                assert!(pair.second.is_sorted_by(|a, b| a + 1 == *b), "contiguous");
            } else {
                let end = place + pair.second.len();
                assert_eq!(pair.second, text[place..end]);
                place = end;
            }
        }
        assert_eq!(place, text.len(), "seed {seed}");
    }
    assert!(several > 50, "{several}");
}

#[test]
fn pairs_fit_and_lose_tokens_from_both_ends_of_the_longer_segment() {
    let documents = documents(0, &[&[40, 13, 60, 7], &[50, 37], &[70]]);
    let all: Vec<Vec<u32>> = documents.concat();
    let (mut front, mut back) = (0, 0);
    for seed in 0..500 {
        let pairs = pairs(&documents, &options(32), seed);
        // The first sentence fills a chunk alone and is A as a whole before it is cut.
        front += pairs[0].first[0] as usize;
        back += 39 - pairs[0].first[pairs[0].first.len() - 1] as usize;
        for SegmentPair { first, second, .. } in pairs {
            assert!(!first.is_empty() && !second.is_empty());
            let length = first.len() + second.len();
            assert!(length <= 29);
            let mut whole = false;
            for segment in [&first, &second] {
                assert!(segment.is_sorted_by(|a, b| a + 1 == *b), "contiguous");
                whole |= all.iter().any(|sentence| sentence[0] == segment[0])
                    && all
                        .iter()
                        .any(|sentence| sentence.ends_with(&segment[segment.len() - 1..]));
            }
            // Cut pairs are full, and of a cut pair either one segment is whole or they end equal.
            assert!(whole || (length == 29 && first.len().abs_diff(second.len()) <= 1));
        }
    }
    assert!(front + back > 5000, "{front} {back}");
    assert_chance(front, front + back, 0.5, "cut at the front");
}

#[test]
fn short_targets_are_uniform_and_as_frequent_as_asked() {
    // Sentences of one token: a true pair is exactly as long as its target.
    let documents = documents(0, &[&[1; 28], &[1; 9]]);
    let mut counts = [0; 8];
    let mut drawn = 0;
    let (mut short, mut all) = (0, 0);
    for seed in 0..3000 {
        let length = |probability| {
            let options = PairOptions {
                short_seq_probability: probability,
                ..options(10)
            };
            // The last pairs of a document may be shorter, the first of this one is not.
            let first = pairs(&documents, &options, seed).swap_remove(0);
            (!first.is_random_next).then(|| first.first.len() + first.second.len())
        };
        if let Some(length) = length(1.0) {
            counts[length] += 1;
            drawn += 1;
        }
        assert!(length(0.0).is_none_or(|length| length == 7));
        if let Some(length) = length(0.1) {
            all += 1;
            short += usize::from(length < 7);
        }
    }
    assert_eq!(counts[..2], [0, 0]);
    for count in &counts[2..] {
        assert_chance(*count, drawn, 1.0 / 6.0, "short target");
    }
    // One of the six is the full length.
    assert_chance(short, all, 0.1 * 5.0 / 6.0, "short documents");
}

#[test]
fn half_of_the_true_continuations_are_replaced_and_sources_are_uniform() {
    let documents = documents(0, &[&[1, 1], &[1], &[1, 1, 1, 1], &[1, 1]]);
    const SEEDS: usize = 6000;
    let mut random = 0;
    let mut sources = [0; 4];
    for seed in 0..SEEDS as u64 {
        let pairs = pairs(&documents, &options(37), seed);
        if pairs[0].is_random_next {
            random += 1;
            let id = pairs[0].second[0];
            let source = documents
                .iter()
                .position(|document| document.concat().contains(&id));
            sources[source.unwrap()] += 1;
        }
    }
    assert_chance(random, SEEDS, 0.5, "random next");
    assert_eq!(sources[0], 0);
    for source in &sources[1..] {
        assert_chance(*source, random, 1.0 / 3.0, "source");
    }
}

#[test]
fn a_single_document_never_calls_its_own_continuation_random() {
    let documents = documents(0, &[&[1, 1, 1, 1]]);
    let mut random = 0;
    for seed in 0..500 {
        for pair in pairs(&documents, &options(37), seed) {
            let next = pair.first[pair.first.len() - 1] + 1;
            assert_eq!(pair.second[0] == next, !pair.is_random_next, "{pair:?}");
            random += usize::from(pair.is_random_next);
        }
    }
    assert!(random > 100, "{random}");

    let alone = [vec![vec![7, 8]]];
    let expected = SegmentPair {
        first: vec![7, 8],
        second: vec![7, 8],
        is_random_next: true,
    };
    assert_eq!(pairs(&alone, &options(37), 0), [expected]);
}

#[test]
fn documents_and_sentences_without_tokens_give_no_empty_segment() {
    let nothing: TokenizedDocument = vec![];
    let hollow: TokenizedDocument = vec![vec![], vec![1, 2], vec![]];
    for documents in [
        [nothing.clone(), hollow.clone()],
        [hollow.clone(), nothing.clone()],
        [hollow.clone(), hollow.clone()],
    ] {
        for seed in 0..50 {
            for pair in pairs(&documents, &options(37), seed) {
                assert!(!pair.first.is_empty() && !pair.second.is_empty());
            }
            for run in runs(&documents, &full_sentences(37), seed) {
                assert!(!run.is_empty());
            }
        }
    }
    assert_eq!(pairs(&[nothing], &options(37), 0), []);
}

#[test]
fn full_sentences_are_packed_and_only_overlong_ones_are_cut() {
    let documents = documents(0, &[&[4, 3, 3, 11, 2, 5, 3, 1, 1]]);
    let text = documents[0].concat();
    // Eight tokens of text fit.
    let runs_10 = runs(&documents, &full_sentences(10), 0);
    let lengths: Vec<usize> = runs_10.iter().map(Vec::len).collect();
    // 4+3 | 3 | 8 of 11 | the other 3 + 2 | 5+3 | 1+1
    assert_eq!(lengths, [7, 3, 8, 5, 8, 2]);
    assert_eq!(runs_10.concat(), text);

    let short = PairOptions {
        short_seq_probability: 1.0,
        ..full_sentences(10)
    };
    let mut different = 0;
    for seed in 0..100 {
        let runs = runs(&documents, &short, seed);
        assert_eq!(runs.concat(), text);
        assert!(runs.iter().all(|run| (1..=8).contains(&run.len())));
        different += usize::from(runs != runs_10);
    }
    assert!(different > 50, "{different}");
}

#[test]
fn impossible_options_are_named() {
    let documents = documents(0, &[&[1, 1]]);
    let refused = |options: &PairOptions| {
        let error = pairs_from_document(&documents[..], 0, options, 3, &mut stream(0, &[]));
        match error.unwrap_err() {
            Error::InvalidOption { option, .. } => option,
            other => panic!("{other}"),
        }
    };
    assert_eq!(refused(&options(4)), "max_seq_length");
    assert_eq!(refused(&options(0)), "max_seq_length");
    assert_eq!(refused(&full_sentences(3)), "max_seq_length");
    for probability in [-0.1, 1.1, f64::NAN] {
        let options = PairOptions {
            short_seq_probability: probability,
            ..options(37)
        };
        assert_eq!(refused(&options), "short_seq_probability");
    }
    assert!(!pairs(&documents, &options(5), 0).is_empty());
    assert!(!pairs(&documents, &full_sentences(4), 0).is_empty());
}
