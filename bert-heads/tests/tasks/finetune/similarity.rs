//! Vectors of texts.

use bert_heads::datasets::SimilarExample;
use bert_heads::sentence_embedding::{EmbedderOptions, Pooling, SentenceEmbedder};
use bert_heads::tasks::similarity::{Similarity, SimilarityLoss, SimilaritySettings};

use super::trial::fixture;
use super::*;

const FRAMES: [&str; 4] = [
    "the {} sat on the mat",
    "hello {} ?",
    "the old {} is in paris",
    "who wrote it , the {} ?",
];

fn about(frame: usize, animal: usize) -> String {
    FRAMES[frame].replace("{}", ["cat", "dog"][animal])
}

/// Two texts are alike if they are about one animal.
fn pairs() -> Vec<(String, String, f64)> {
    let mut pairs = Vec::new();
    for (first, second) in [(0, 1), (1, 2), (2, 3), (3, 0), (0, 2), (1, 3)] {
        for (a, b) in [(0, 0), (0, 1), (1, 1), (1, 0)] {
            let score = if a == b { 5.0 } else { 1.0 };
            pairs.push((about(first, a), about(second, b), score));
        }
    }
    pairs
}

fn scored() -> Dataset<TextExample> {
    let examples = pairs().into_iter().enumerate();
    Dataset {
        path: "pairs.tsv".into(),
        examples: examples
            .map(|(index, (text, pair, score))| TextExample {
                text,
                pair: Some(pair),
                target: Target::Number(score),
                line: index + 2,
            })
            .collect(),
    }
}

fn trial(settings: SimilaritySettings, train: Vec<SimilarExample>, steps: u64) -> Trial {
    let data = TrainingData::new(
        Similarity,
        Splits {
            train: Dataset {
                path: "pairs.tsv".into(),
                examples: train,
            },
            validation: Some(scored()),
        },
    );
    let mut trial = Trial::new(&["similarity"], data, steps);
    trial.settings.similarity = Some(settings);
    trial
}

fn similar() -> Vec<SimilarExample> {
    let pairs = scored().examples.into_iter();
    pairs
        .map(|pair| SimilarExample::try_from(pair).unwrap())
        .collect()
}

fn by_score(pooling: Pooling, steps: u64) -> Trial {
    let settings = SimilaritySettings {
        pooling: pooling.into(),
        scores: [1.0, 5.0],
        ..SimilaritySettings::default()
    };
    trial(settings, similar(), steps)
}

#[test]
fn cosines_are_learnt_and_the_directory_is_one_to_embed_with() {
    for (label, device) in test_devices() {
        let trial = Trial {
            device,
            ..by_score(Pooling::MeanSqrtLen, 60)
        };
        let (summary, course) = trial.run(false).unwrap();
        assert!(
            mean(&course.losses[55..]) < 0.5 * mean(&course.losses[..5]),
            "{label}: {:?}",
            course.losses
        );
        let learnt = summary.evaluation["pearson"].as_f64().unwrap();
        assert!(learnt > 0.9, "{label}: {learnt}");
        assert!(course.messages.iter().all(|text| !text.contains("random")));

        let options = EmbedderOptions::default();
        let out = trial.out.path();
        let embedder = SentenceEmbedder::from_dir(out, &options, &trial.device).unwrap();
        assert_eq!(*embedder.pooling(), Pooling::MeanSqrtLen);
        assert_eq!(
            (embedder.max_length(), embedder.is_normalized()),
            (32, false)
        );
        let (scores, cosines) = embedder.evaluate(&scored()).unwrap();
        let difference = scores.get("pearson").unwrap() - learnt;
        assert!(difference.abs() < 1e-4, "{label}: {difference}");
        assert!(cosines.iter().all(|cosine| cosine.abs() <= 1.0 + 1e-9));
        let config = fs::read_to_string(out.join("config.json")).unwrap();
        assert!(config.contains("\"BertModel\""), "{config}");
        assert!(out.join("1_Pooling/config.json").is_file());
    }
}

#[test]
fn likes_are_found_among_the_rest_of_the_batch() {
    // What is unlike stands beside some of the texts, and the batch holds both animals.
    let train = (0..12).map(|index| {
        let animal = index % 2;
        let mut texts = vec![about(index % 4, animal), about((index + 1) % 4, animal)];
        if index % 3 == 0 {
            texts.push(about((index + 2) % 4, 1 - animal));
        }
        SimilarExample {
            texts,
            score: None,
            line: index + 2,
        }
    });
    let settings = SimilaritySettings {
        loss: SimilarityLoss::Ranking,
        normalize: true,
        ..SimilaritySettings::default()
    };
    let trial = trial(settings, train.collect(), 60);
    let (summary, _) = trial.run(false).unwrap();
    let learnt = summary.evaluation["spearmanr"].as_f64().unwrap();
    // With two different scores 0.87 is the most that ranks can reach.
    assert!(learnt > 0.6, "{learnt}");
    let options = EmbedderOptions::default();
    let embedder = SentenceEmbedder::from_dir(trial.out.path(), &options, &trial.device).unwrap();
    assert!(embedder.is_normalized());
}

#[test]
fn a_run_on_pairs_goes_on_where_it_stopped() {
    let whole = by_score(Pooling::Cls, 10);
    let (_, course) = whole.run(false).unwrap();
    let mut parts = by_score(Pooling::Cls, 10);
    parts.stop_after = 4;
    let (_, first) = parts.run(false).unwrap();
    parts.stop_after = usize::MAX;
    let (_, second) = parts.run(true).unwrap();
    assert_eq!([first.losses, second.losses].concat(), course.losses);
    assert_eq!(parts.weights(), whole.weights());
}

/// The modules that sentence-transformers saved around the encoder: Dense with Tanh, then length 1.
fn with_dense(trial: &Trial) {
    let modules = fixture().with_file_name("sentence-transformers/dense");
    for name in ["modules.json", "1_Pooling", "2_Dense"] {
        let (from, to) = (modules.join(name), trial.encoder.path().join(name));
        if from.is_file() {
            fs::copy(from, to).unwrap();
            continue;
        }
        fs::create_dir_all(&to).unwrap();
        for entry in fs::read_dir(from).unwrap() {
            let path = entry.unwrap().path();
            fs::copy(&path, to.join(path.file_name().unwrap())).unwrap();
        }
    }
}

#[test]
fn dense_modules_are_trained_and_saved_with_the_encoder() {
    let weights = |dir: &Path| fs::read(dir.join("2_Dense/model.safetensors")).unwrap();
    for (label, device) in test_devices() {
        let mut trial = Trial {
            device,
            ..by_score(Pooling::Mean, 40)
        };
        trial.settings.similarity.as_mut().unwrap().normalize = true;
        with_dense(&trial);
        let (summary, course) = trial.run(false).unwrap();
        assert!(
            mean(&course.losses[35..]) < mean(&course.losses[..5]),
            "{label}: {:?}",
            course.losses
        );
        let learnt = summary.evaluation["pearson"].as_f64().unwrap();
        assert!(
            weights(trial.out.path()) != weights(trial.encoder.path()),
            "{label}"
        );
        let out = trial.out.path();
        let options = EmbedderOptions::default();
        let embedder = SentenceEmbedder::from_dir(out, &options, &trial.device).unwrap();
        assert_eq!((embedder.dimension(), embedder.is_normalized()), (7, true));
        let (scores, _) = embedder.evaluate(&scored()).unwrap();
        let difference = scores.get("pearson").unwrap() - learnt;
        assert!(difference.abs() < 1e-4, "{label}: {difference}");
    }
    // A run goes on with them.
    let whole = by_score(Pooling::Mean, 10);
    with_dense(&whole);
    whole.run(false).unwrap();
    let mut parts = by_score(Pooling::Mean, 10);
    with_dense(&parts);
    parts.stop_after = 4;
    parts.run(false).unwrap();
    parts.stop_after = usize::MAX;
    parts.run(true).unwrap();
    assert_eq!(parts.weights(), whole.weights());
    assert_eq!(weights(parts.out.path()), weights(whole.out.path()));
}

#[test]
fn modules_that_training_does_not_carry_on_are_named() {
    let refused = |change: &dyn Fn(&mut Trial), needle: &str| {
        let mut trial = by_score(Pooling::Mean, 3);
        with_dense(&trial);
        change(&mut trial);
        let error = trial.run(false).map(|(summary, _)| summary).unwrap_err();
        assert!(error.to_string().contains(needle), "{error}");
    };
    refused(&|trial| trial.settings.from_scratch = true, "Dense");
    let pooling = |trial: &mut Trial| {
        trial.settings.similarity.as_mut().unwrap().pooling = "cls+mean".parse().unwrap();
    };
    refused(&pooling, "36 numbers");
    let cut = |trial: &mut Trial| {
        let path = trial
            .encoder
            .path()
            .join("config_sentence_transformers.json");
        fs::write(path, r#"{"truncate_dim": 3}"#).unwrap();
    };
    refused(&cut, "truncate_dim");
}

#[test]
fn pairs_and_settings_that_make_no_run_are_named() {
    let refused = |change: &dyn Fn(&mut Trial), needle: &str| {
        let mut trial = by_score(Pooling::Mean, 3);
        change(&mut trial);
        let error = trial.run(false).map(|(summary, _)| summary).unwrap_err();
        assert!(error.to_string().contains(needle), "{error}");
    };
    let settings = |change: fn(&mut SimilaritySettings)| {
        move |trial: &mut Trial| change(trial.settings.similarity.as_mut().unwrap())
    };
    refused(&settings(|s| s.scores = [5.0, 1.0]), "5 to 1");
    refused(&settings(|s| s.scale = 0.0), "scale");
    refused(
        &settings(|s| s.pooling = Pooling::Pooler.into()),
        "mean-sqrt-len",
    );
    let without_score = |changed: &mut Trial| {
        let mut train = similar();
        train[3].score = None;
        changed.data = trial(SimilaritySettings::default(), train, 3).data;
    };
    refused(&without_score, "pairs.tsv, line 5");
}
