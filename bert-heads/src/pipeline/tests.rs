//! Every head opened from a directory, and input that does not suit it.

use std::fs;
use std::path::PathBuf;

use bert_core::config::BertConfig;
use bert_core::device::test_devices;
use bert_core::models::ELECTRA;
use bert_core::nn::{BertInit, BertModel};
use tempfile::TempDir;

use super::*;
use crate::labels::Labels;
use crate::tasks::masked_lm::BertForMaskedLm;
use crate::tasks::multiple_choice::BertForMultipleChoice;
use crate::tasks::next_sentence::BertForNextSentencePrediction;
use crate::tasks::question_answering::BertForQuestionAnswering;
use crate::tasks::replaced_tokens::BertForReplacedTokens;
use crate::tasks::sequence_classification::{
    BertForSequenceClassification, MULTI_LABEL, ProblemType,
};
use crate::tasks::similarity::SIMILARITY;
use crate::tasks::token_classification::BertForTokenClassification;

fn encoder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../bert-core/fixtures/tiny-pretraining")
}

/// A directory with the tokenizer of the tiny encoder and a fresh model that `save` writes.
fn directory(save: impl FnOnce(&Path, &BertConfig, &BertInit)) -> TempDir {
    let dir = tempfile::tempdir().unwrap();
    let (_, device) = test_devices().swap_remove(0);
    let checkpoint = Checkpoint::open(encoder()).unwrap();
    let config = checkpoint.config();
    save(dir.path(), config, &BertInit::new(config, 5, &device));
    for name in ["vocab.txt", "tokenizer_config.json"] {
        fs::copy(encoder().join(name), dir.path().join(name)).unwrap();
    }
    dir
}

fn open(dir: &TempDir, options: &PipelineOptions) -> Pipeline {
    let (_, device) = test_devices().swap_remove(0);
    Pipeline::open(dir.path().to_str().unwrap(), &device, options).unwrap()
}

/// Asserts that all inputs but those named are refused, with the head and the method that it has.
fn check_refusals(pipeline: &Pipeline, taken: &[&str], head: &str, method: &str) {
    let words = [vec!["the".to_owned(), "cat".to_owned()]];
    let refusals = [
        ("texts", pipeline.predict(&["the cat"]).err()),
        ("pairs", pipeline.predict_pairs(&[("the", "cat")]).err()),
        ("words", pipeline.tag_words(&words).err()),
        ("questions", pipeline.answer(&[("who ?", "the cat")]).err()),
        (
            "choices",
            pipeline.choose(&[("the", &["cat", "dog"][..])]).err(),
        ),
    ];
    for (input, refusal) in refusals {
        if taken.contains(&input) {
            continue;
        }
        let error = refusal.unwrap_or_else(|| panic!("{head} took {input}"));
        assert!(matches!(error, Error::WrongInput { .. }), "{error}");
        let message = error.to_string();
        assert!(
            message.contains(head) && message.contains(method),
            "{message}"
        );
    }
}

#[test]
fn a_text_classifier_takes_texts_and_pairs() {
    let dir = directory(|dir, config, init| {
        let labels = Labels::new(["no", "yes"]).unwrap();
        BertForSequenceClassification::new(config, 2, init)
            .save(dir, config, &labels, ProblemType::SingleLabel)
            .unwrap();
    });
    let pipeline = open(&dir, &PipelineOptions::default());
    let found = pipeline
        .predict(&["the cat", "the old river bank"])
        .unwrap();
    let pairs = pipeline.predict_pairs(&[("the cat", "is old")]).unwrap();
    for prediction in found.iter().chain(&pairs) {
        let Prediction::Answer(Answer::Label { label, .. }) = prediction else {
            panic!("{prediction:?}");
        };
        assert!(["no", "yes"].contains(&label.as_str()));
    }
    assert_eq!((found.len(), pairs.len()), (2, 1));
    check_refusals(
        &pipeline,
        &["texts", "pairs"],
        "text-classification",
        "`predict`",
    );

    // Names and task in place of those in the files.
    let options = PipelineOptions {
        overrule: Overrule {
            task: Some(&MULTI_LABEL),
            labels: Some(Labels::new(["a", "b"]).unwrap()),
        },
        ..PipelineOptions::default()
    };
    let found = open(&dir, &options).predict(&["the cat"]).unwrap();
    let [Prediction::Answer(Answer::Labels { scores, .. })] = found.as_slice() else {
        panic!("{found:?}");
    };
    assert!(scores.contains_key("a") && scores.contains_key("b"));
}

#[test]
fn a_discriminator_tells_replaced_tokens_of_texts_and_pairs() {
    let dir = directory(|dir, config, init| {
        let mut sizes = config.in_family(&ELECTRA, config.pad_token_id).unwrap();
        sizes.embedding_size = Some(10);
        // Large weights, so that the tokens' probabilities are apart.
        let init = BertInit::new(
            &BertConfig {
                initializer_range: 0.4,
                ..sizes.clone()
            },
            5,
            init.device(),
        );
        let model = BertForReplacedTokens::new(&sizes, &init);
        let class = BertForReplacedTokens::architecture(&sizes);
        bert_core::checkpoint::save(dir, &model, &sizes, &class).unwrap();
    });
    let pipeline = open(&dir, &PipelineOptions::default());
    let texts = ["the old river bank is old", "the cat", "", "cat the cat"];
    let found = pipeline.predict(&texts).unwrap();
    let tokens = |prediction: &Prediction| {
        let Prediction::ReplacedTokens(found) = prediction else {
            panic!("{prediction:?}");
        };
        found.clone()
    };
    for (text, prediction) in texts.iter().zip(&found) {
        let together = tokens(prediction);
        let alone = tokens(&pipeline.predict(&[text]).unwrap()[0]);
        assert_eq!(together.tokens, alone.tokens);
        assert_eq!(together.tokens.len(), text.split_whitespace().count());
        for (together, alone) in together.probabilities.iter().zip(&alone.probabilities) {
            assert!(
                (together - alone).abs() < 1e-5,
                "{text}: {together} {alone}"
            );
            assert!((0.0..=1.0).contains(together));
        }
        for (token, (start, end)) in alone.tokens.iter().zip(&alone.offsets) {
            assert_eq!(&text[*start..*end], token);
        }
    }
    let first = tokens(&found[0]).probabilities;
    assert!((first[0] - first[1]).abs() > 1e-3, "{first:?}");
    let pairs = pipeline.predict_pairs(&[("the cat", "is old")]).unwrap();
    assert_eq!(tokens(&pairs[0]).tokens, ["the", "cat", "is", "old"]);
    check_refusals(
        &pipeline,
        &["texts", "pairs"],
        "replaced-token",
        "`predict`",
    );

    let options = PipelineOptions {
        predict: PredictOptions {
            max_length: Some(4),
            ..PredictOptions::default()
        },
        ..PipelineOptions::default()
    };
    let error = open(&dir, &options).predict(&["the old cat"]).unwrap_err();
    assert!(error.to_string().contains('4'), "{error}");
}

#[test]
fn a_next_sentence_model_takes_pairs_alone() {
    let dir = directory(|dir, config, init| {
        let model = BertForNextSentencePrediction::new(config, init);
        model.save(dir, config).unwrap();
    });
    let pipeline = open(&dir, &PipelineOptions::default());
    let found = pipeline.predict_pairs(&[("the cat", "is old")]).unwrap();
    let [Prediction::Answer(Answer::Label { scores, .. })] = found.as_slice() else {
        panic!("{found:?}");
    };
    assert!(scores.contains_key("next") && scores.contains_key("random"));
    check_refusals(&pipeline, &["pairs"], "next-sentence", "`predict_pairs`");
}

#[test]
fn a_token_classifier_takes_texts_and_words() {
    let dir = directory(|dir, config, init| {
        let labels = Labels::new(["O", "B-PER", "I-PER"]).unwrap();
        let model = BertForTokenClassification::new(config, 3, init);
        model.save(dir, config, &labels).unwrap();
    });
    let pipeline = open(&dir, &PipelineOptions::default());
    let found = pipeline.predict(&["the cat"]).unwrap();
    let [Prediction::Tags(tagged)] = found.as_slice() else {
        panic!("{found:?}");
    };
    assert!(tagged.entities.is_some());
    let words = [vec!["the".to_owned(), "cat".to_owned(), ".".to_owned()]];
    let tags = pipeline.tag_words(&words).unwrap();
    assert_eq!((tags.len(), tags[0].len()), (1, 3));
    check_refusals(
        &pipeline,
        &["texts", "words"],
        "token-classification",
        "`tag_words`",
    );
}

#[test]
fn a_model_of_questions_takes_them_with_their_contexts() {
    let dir = directory(|dir, config, init| {
        let model = BertForQuestionAnswering::new(config, init);
        model.save(dir, config).unwrap();
    });
    let options = PipelineOptions {
        questions: QuestionOptions {
            n_best: Some(3),
            ..QuestionOptions::default()
        },
        predict: PredictOptions {
            max_length: Some(24),
            ..PredictOptions::default()
        },
        ..PipelineOptions::default()
    };
    let pipeline = open(&dir, &options);
    let Pipeline::QuestionAnswerer(model) = &pipeline else {
        panic!("{pipeline:?}");
    };
    let settings = model.settings();
    assert_eq!((settings.max_length, settings.n_best), (24, 3));
    let context = "the old cat sat in the river bank";
    let found = pipeline.answer(&[("where ?", context)]).unwrap();
    assert!(found.len() == 1 && found[0].n_best.len() <= 3);
    assert!(context.contains(&found[0].answer), "{found:?}");
    check_refusals(&pipeline, &["questions"], "question-answering", "`answer`");
}

#[test]
fn a_model_of_choices_takes_two_or_more() {
    let dir = directory(|dir, config, init| {
        let model = BertForMultipleChoice::new(config, init);
        model.save(dir, config).unwrap();
    });
    let pipeline = open(&dir, &PipelineOptions::default());
    let found = pipeline
        .choose(&[("the cat", &["sat", "is old", "fox"][..])])
        .unwrap();
    assert_eq!((found.len(), found[0].scores.len()), (1, 3));
    assert!(pipeline.choose(&[("the cat", &["sat"][..])]).is_err());
    check_refusals(&pipeline, &["choices"], "multiple-choice", "`choose`");
}

#[test]
fn a_sentence_encoder_gives_vectors_and_compares_pairs() {
    let dir = directory(|dir, config, init| {
        let model = BertModel::new(config, true, init);
        bert_core::checkpoint::save(dir, &model, config, "BertModel").unwrap();
    });
    let (_, device) = test_devices().swap_remove(0);
    let options = PipelineOptions::default();
    let error = Pipeline::from_dir(dir.path(), &device, &options).unwrap_err();
    assert!(matches!(error, Error::NoKnownHead { .. }), "{error}");

    let options = PipelineOptions {
        overrule: Overrule {
            task: Some(&SIMILARITY),
            labels: None,
        },
        ..options
    };
    let pipeline = open(&dir, &options);
    let found = pipeline.predict(&["the cat"]).unwrap();
    let [Prediction::Embedding(vector)] = found.as_slice() else {
        panic!("{found:?}");
    };
    assert!(!vector.values.is_empty());
    let found = pipeline
        .predict_pairs(&[("the cat", "the cat"), ("the cat", "is old")])
        .unwrap();
    let [Prediction::Similarity(same), Prediction::Similarity(other)] = found.as_slice() else {
        panic!("{found:?}");
    };
    assert!((same - 1.0).abs() < 1e-5 && other < same);
    check_refusals(
        &pipeline,
        &["texts", "pairs"],
        "sentence-embedding",
        "`predict`",
    );
}

#[test]
fn a_masked_lm_fills_masks_where_the_architecture_says_so() {
    let dir = directory(|dir, config, init| {
        let model = BertForMaskedLm::new(config, init);
        bert_core::checkpoint::save(dir, &model, config, "BertForMaskedLM").unwrap();
    });
    let pipeline = open(&dir, &PipelineOptions::default());
    let found = pipeline.predict(&["the [MASK] sat in [MASK]"]).unwrap();
    let [Prediction::Masks(masks)] = found.as_slice() else {
        panic!("{found:?}");
    };
    assert_eq!(masks.len(), 2);
    assert!(masks.iter().all(|mask| mask.len() == MASK_CANDIDATES));
    let error = pipeline.predict(&["the cat"]).unwrap_err();
    assert!(matches!(error, Error::NoMask { .. }), "{error}");
    check_refusals(&pipeline, &["texts"], "masked-LM", "mask tokens");

    // A pretraining checkpoint has both heads, and its class states the next sentence.
    let (_, device) = test_devices().swap_remove(0);
    let options = PipelineOptions::default();
    let both = Pipeline::from_dir(encoder(), &device, &options).unwrap();
    check_refusals(&both, &["pairs"], "next-sentence", "`predict_pairs`");
}
