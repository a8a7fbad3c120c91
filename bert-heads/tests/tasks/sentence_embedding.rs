//! Sentence and token vectors against sentence-transformers' way of computing them, and against
//! themselves: a text gives the same vector alone, in a batch and in a stream.

use std::io;
use std::path::{Path, PathBuf};

use bert_core::device::{Device, test_devices};
use bert_heads::Error;
use bert_heads::sentence_embedding::{
    EmbedderOptions, LongInputs, Pooling, Progress, SentenceEmbedder, Summary,
};
use serde_json::{Value, json};

fn fixture() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../bert-core/fixtures/tiny-pretraining")
}

fn options(pooling: Pooling, normalize: bool) -> EmbedderOptions {
    EmbedderOptions {
        pooling: Some(pooling.into()),
        normalize: Some(normalize),
        ..EmbedderOptions::default()
    }
}

fn embedder(options: &EmbedderOptions, device: &Device) -> SentenceEmbedder {
    SentenceEmbedder::from_dir(fixture(), options, device).unwrap()
}

fn largest_difference(a: &[f32], b: &[f32]) -> f32 {
    assert_eq!(a.len(), b.len());
    a.iter()
        .zip(b)
        .map(|(a, b)| (a - b).abs())
        .fold(0.0, f32::max)
}

#[test]
fn vectors_agree_with_the_float64_reference() {
    let text = std::fs::read_to_string(fixture().join("text_reference.json")).unwrap();
    let reference: Value = serde_json::from_str(&text).unwrap();
    let texts = reference["texts"].as_array().unwrap();
    for (label, device) in test_devices() {
        for (field, options) in [
            ("cls", options(Pooling::Cls, false)),
            ("mean", options(Pooling::Mean, false)),
            ("mean_normalized", options(Pooling::Mean, true)),
            ("max", options(Pooling::Max, false)),
            ("pooler", options(Pooling::Pooler, false)),
        ] {
            let embedder = embedder(&options, &device);
            let inputs: Vec<&str> = texts.iter().map(|t| t["text"].as_str().unwrap()).collect();
            let embeddings = embedder.embed(&inputs).unwrap();
            assert_eq!(embeddings.len(), texts.len());
            for (embedding, expected) in embeddings.iter().zip(texts) {
                let values = expected[field].as_array().unwrap();
                let values: Vec<f32> = values.iter().map(|v| v.as_f64().unwrap() as f32).collect();
                let difference = largest_difference(&embedding.values, &values);
                let text = &expected["text"];
                assert!(difference <= 1e-5, "{label} {field} {text}: {difference:e}");
            }
        }
    }
}

/// Texts from empty to far too long, in an order that sorting by length has to undo.
fn varied_texts() -> Vec<String> {
    let words = [
        "the",
        "old",
        "river",
        "bank",
        "Paris,",
        "fox!",
        "",
        "北京",
        "caf\u{e9}",
        "\u{1f355}",
    ];
    (0..41)
        .map(|n: usize| {
            let length = (n * 17 + 5) % 61;
            let words = (0..length).map(|i| words[(n + i * i) % words.len()]);
            words.collect::<Vec<_>>().join(" ")
        })
        .chain(["", "   ", "[SEP]"].map(String::from))
        .collect()
}

#[test]
fn batched_alone_and_streamed_are_the_same() {
    let texts = varied_texts();
    for (label, device) in test_devices() {
        for (pooling, normalize) in [
            (Pooling::Cls, true),
            (Pooling::Mean, true),
            (Pooling::Max, true),
            (Pooling::Pooler, false),
        ] {
            let embedder = embedder(
                &EmbedderOptions {
                    batch_tokens: Some(150),
                    ..options(pooling, normalize)
                },
                &device,
            );
            let inputs: Vec<&str> = texts.iter().map(String::as_str).collect();
            let together = embedder.embed(&inputs).unwrap();
            let mut worst = 0.0;
            for (index, (text, batched)) in texts.iter().zip(&together).enumerate() {
                assert_eq!(batched.index, index);
                let alone = embedder.embed(&[text]).unwrap().remove(0);
                assert_eq!(alone.truncated, batched.truncated);
                worst = largest_difference(&alone.values, &batched.values).max(worst);
            }
            println!("{label:12} {pooling:6} batched against alone {worst:.1e}");
            // Values of the pooler are not scaled to length 1; the bar is the one of the model's outputs.
            let bar = if normalize { 1e-6 } else { 2e-6 };
            assert!(worst <= bar, "{label} {pooling}: {worst:e}");

            let mut streamed = Vec::new();
            let lines = texts.iter().cloned().map(Ok);
            let mut reported = Vec::new();
            let summary = embedder
                .embed_lines(
                    lines,
                    |progress| reported.push(progress),
                    |embedding| {
                        streamed.push(embedding);
                        Ok::<(), Error>(())
                    },
                )
                .unwrap();
            assert_eq!(streamed.len(), together.len());
            for (streamed, batched) in streamed.iter().zip(&together) {
                assert_eq!(streamed.index, batched.index);
                assert_eq!(streamed.truncated, batched.truncated);
                let difference = largest_difference(&streamed.values, &batched.values);
                assert!(difference <= 1e-6, "{label} {pooling}: {difference:e}");
            }
            assert_eq!(summary.texts, texts.len());
            assert!(reported.is_sorted_by_key(|progress| progress.texts) && reported.len() > 5);
            let last = reported.last().unwrap();
            assert_eq!((last.texts, last.tokens), (summary.texts, summary.tokens));
        }
    }
}

#[test]
fn token_vectors_have_no_padding_and_average_to_the_mean() {
    let texts = ["", "The cat sat on the mat.", "Paris"];
    for (label, device) in test_devices() {
        let embedder = embedder(&options(Pooling::Mean, false), &device);
        let means = embedder.embed(&texts).unwrap();
        let matrices = embedder.embed_tokens(&texts).unwrap();
        assert_eq!(matrices[0].tokens, ["[CLS]", "[SEP]"]);
        assert_eq!(matrices[2].tokens.first().unwrap(), "[CLS]");
        for (matrix, mean) in matrices.iter().zip(&means) {
            assert_eq!(matrix.index, mean.index);
            let rows = matrix.values.chunks(embedder.dimension());
            assert_eq!(rows.len(), matrix.tokens.len());
            let mut average = vec![0.0; embedder.dimension()];
            for row in rows {
                for (sum, value) in average.iter_mut().zip(row) {
                    *sum += value / matrix.tokens.len() as f32;
                }
            }
            let difference = largest_difference(&average, &mean.values);
            assert!(difference < 1e-5, "{label}: {difference:e}");
        }
        let mut streamed = 0;
        let lines = texts.map(|text| Ok(text.to_owned()));
        embedder
            .embed_line_tokens(
                lines,
                |_| {},
                |matrix| {
                    let expected = &matrices[streamed];
                    streamed += 1;
                    assert_eq!(
                        (matrix.index, &matrix.tokens),
                        (expected.index, &expected.tokens)
                    );
                    let difference = largest_difference(&matrix.values, &expected.values);
                    assert!(difference <= 1e-6, "{label}: {difference:e}");
                    Ok::<(), Error>(())
                },
            )
            .unwrap();
        assert_eq!(streamed, matrices.len(), "{label}");
    }
}

#[test]
fn cut_texts_are_counted() {
    let (_, device) = test_devices().swap_remove(0);
    let embedder = embedder(
        &EmbedderOptions {
            max_length: Some(5),
            ..EmbedderOptions::default()
        },
        &device,
    );
    let lines = ["a b c", "a b c d", "", "a b c d e f"].map(|text| Ok(text.to_owned()));
    let mut truncated = Vec::new();
    let sink = |embedding: bert_heads::sentence_embedding::SentenceEmbedding| {
        truncated.push(embedding.truncated);
        Ok::<(), Error>(())
    };
    let summary = embedder.embed_lines(lines, |_| {}, sink).unwrap();
    assert_eq!(truncated, [0, 1, 0, 3]);
    assert_eq!(
        summary,
        Summary {
            texts: 4,
            tokens: 5 + 5 + 2 + 5,
            truncated_texts: 2,
            truncated_tokens: 4,
            first_truncated: Some(1)
        }
    );
}

#[test]
fn long_texts_are_averaged_over_their_parts() {
    for (label, device) in test_devices() {
        let options = |normalize| EmbedderOptions {
            max_length: Some(5),
            long_texts: LongInputs::Mean,
            ..options(Pooling::Mean, normalize)
        };
        let plain = embedder(&options(false), &device);
        let texts = ["a b", "a b c d e", "", "a b c d e f g h"];
        let found = plain.embed(&texts).unwrap();
        assert!(found.iter().all(|text| text.truncated == 0), "{label}");
        let mean = |parts: &[(&str, f32)]| -> Vec<f32> {
            let mut sum = vec![0.0; plain.dimension()];
            for (part, share) in parts {
                let vector = plain.embed(&[part]).unwrap().remove(0).values;
                sum.iter_mut()
                    .zip(vector)
                    .for_each(|(sum, value)| *sum += share * value);
            }
            sum
        };
        let expected = [
            mean(&[("a b", 1.0)]),
            mean(&[("a b", 0.4), ("c d e", 0.6)]),
            mean(&[("", 1.0)]),
            mean(&[("a b", 0.25), ("c d e", 0.375), ("f g h", 0.375)]),
        ];
        for (found, expected) in found.iter().zip(&expected) {
            let difference = largest_difference(&found.values, expected);
            assert!(
                difference < 1e-5,
                "{label}, text {}: {difference}",
                found.index
            );
        }

        // Length 1 comes last, and a stream counts texts and all of their tokens.
        let unit = embedder(&options(true), &device);
        let mut progress = Progress::default();
        let mut vectors = Vec::new();
        let lines = texts.map(|text| Ok(text.to_owned()));
        let summary = unit.embed_lines(
            lines,
            |now| progress = now,
            |text| {
                vectors.push(text.values);
                Ok::<(), Error>(())
            },
        );
        assert_eq!(summary.unwrap().truncated_texts, 0, "{label}");
        assert_eq!(
            (progress.texts, progress.tokens),
            (4, 4 + 9 + 2 + 14),
            "{label}"
        );
        for (vector, expected) in vectors.iter().zip(&expected) {
            let length = expected
                .iter()
                .map(|value| value * value)
                .sum::<f32>()
                .sqrt();
            let expected: Vec<f32> = expected.iter().map(|value| value / length).collect();
            assert!(largest_difference(vector, &expected) < 1e-5, "{label}");
        }
    }
}

#[test]
fn a_stream_ends_at_the_first_error_of_either_side() {
    let (_, device) = test_devices().swap_remove(0);
    let embedder = embedder(&EmbedderOptions::default(), &device);
    let lines = || [Ok("a".to_owned()), Err(io::Error::other("gone"))];
    let error = embedder
        .embed_lines(lines(), |_| {}, |_| Ok::<(), Error>(()))
        .unwrap_err();
    assert!(matches!(error, Error::Line { line: 2, .. }), "{error}");

    let mut seen = 0;
    let full = || Error::NoMask {
        mask_token: "the disk is full".into(),
    };
    let sink = |_| {
        seen += 1;
        if seen == 2 { Err(full()) } else { Ok(()) }
    };
    let texts = ["a", "b", "c"].map(|text| Ok(text.to_owned()));
    let error = embedder.embed_lines(texts, |_| {}, sink).unwrap_err();
    assert!(error.to_string().contains("the disk is full"));
    assert_eq!(seen, 2);
    let nothing = embedder
        .embed_lines([], |_| {}, |_| Ok::<(), Error>(()))
        .unwrap();
    assert_eq!(nothing, Summary::default());
}

#[test]
fn settings_come_from_the_directory_and_can_be_overridden() {
    let (_, device) = test_devices().swap_remove(0);
    let dir = tempfile::tempdir().unwrap();
    for name in [
        "config.json",
        "model.safetensors",
        "vocab.txt",
        "tokenizer_config.json",
    ] {
        std::fs::copy(fixture().join(name), dir.path().join(name)).unwrap();
    }
    let open = |options: &EmbedderOptions| SentenceEmbedder::from_dir(dir.path(), options, &device);
    let plain = open(&EmbedderOptions::default()).unwrap();
    assert!(*plain.pooling() == Pooling::Mean && !plain.is_normalized());
    assert_eq!((plain.max_length(), plain.dimension()), (48, 18));

    let module = |kind: &str, path: &str| json!({"type": format!("sentence_transformers.models.{kind}"), "path": path});
    let write = |name: &str, value: Value| {
        let path = dir.path().join(name);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(path, value.to_string()).unwrap();
    };
    write(
        "modules.json",
        json!([
            module("Transformer", ""),
            module("Pooling", "1_Pooling"),
            module("Normalize", "2")
        ]),
    );
    write(
        "1_Pooling/config.json",
        json!({"word_embedding_dimension": 18, "pooling_mode_max_tokens": true}),
    );
    write(
        "sentence_bert_config.json",
        json!({"max_seq_length": 13, "do_lower_case": false}),
    );
    let sentence = open(&EmbedderOptions::default()).unwrap();
    assert!(*sentence.pooling() == Pooling::Max && sentence.is_normalized());
    assert_eq!(sentence.max_length(), 13);

    let other = EmbedderOptions {
        max_length: Some(7),
        ..options(Pooling::Cls, false)
    };
    let other = open(&other).unwrap();
    assert!(*other.pooling() == Pooling::Cls && !other.is_normalized());
    assert_eq!(other.max_length(), 7);

    let too_long = EmbedderOptions {
        max_length: Some(49),
        ..EmbedderOptions::default()
    };
    let error = open(&too_long).unwrap_err();
    assert!(
        matches!(
            error,
            Error::MaxLength {
                requested: 49,
                positions: 48
            }
        ),
        "{error}"
    );

    // A prompt belongs to the text, and lower-casing is no change for this tokenizer.
    write(
        "config_sentence_transformers.json",
        json!({"prompts": {"q": "The Cat "}, "default_prompt_name": "q"}),
    );
    write(
        "sentence_bert_config.json",
        json!({"max_seq_length": 13, "do_lower_case": true}),
    );
    let prompted = open(&EmbedderOptions::default()).unwrap();
    assert_eq!(
        prompted.embed(&["SAT"]).unwrap(),
        sentence.embed(&["The Cat SAT"]).unwrap()
    );
}

#[test]
fn a_checkpoint_without_a_pooler_cannot_pool_by_it() {
    let (_, device) = test_devices().swap_remove(0);
    let mlm = fixture().with_file_name("tiny-mlm");
    let dir = tempfile::tempdir().unwrap();
    for name in ["config.json", "model.safetensors"] {
        std::fs::copy(mlm.join(name), dir.path().join(name)).unwrap();
    }
    let vocab = std::fs::read_to_string(fixture().join("vocab.txt")).unwrap();
    let vocab: Vec<&str> = vocab.lines().take(83).collect();
    std::fs::write(dir.path().join("vocab.txt"), vocab.join("\n")).unwrap();
    let error = SentenceEmbedder::from_dir(dir.path(), &options(Pooling::Pooler, false), &device);
    let error = error.unwrap_err();
    assert!(matches!(error, Error::NoPooler { .. }), "{error}");
    SentenceEmbedder::from_dir(dir.path(), &options(Pooling::Max, false), &device).unwrap();
}
