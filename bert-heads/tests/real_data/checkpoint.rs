//! all-MiniLM-L6-v2 gives the vectors that sentence-transformers gives, and ranks the English test
//! split of STS-B as it does.
//!
//! Neither checkpoint nor data are in this repository. A run without them says so.
//!
//! - `BERT_REAL_CHECKPOINT`: the model directory; without it nothing runs.
//! - `BERT_DATA_DIR`: holds `stsbenchmark/`; without it only single vectors are compared.
//! - `BERT_STS_ALL=1`: ranks STS-B on software rasterisers too, which takes hours.

use std::path::Path;
use std::time::Instant;

use bert_core::device::{Device, test_devices};
use bert_heads::sentence_embedding::{EmbedderOptions, SentenceEmbedder, cosine_similarity};
use serde_json::Value;

/// Largest difference allowed in a number of a vector of length 1.
const VECTOR_BAR: f64 = 1e-4;
/// Largest difference allowed in a rank correlation.
const SPEARMAN_BAR: f64 = 1e-3;

/// Summary of a success, or the reason for the failure.
type Outcome = Result<String, String>;

/// Runs the tests; false if one fails.
pub(crate) fn run() -> bool {
    let Some(checkpoint) = std::env::var_os("BERT_REAL_CHECKPOINT") else {
        println!("0 tests: set BERT_REAL_CHECKPOINT to the directory of all-MiniLM-L6-v2");
        return true;
    };
    let data = std::env::var_os("BERT_DATA_DIR");
    let all = std::env::var_os("BERT_STS_ALL").is_some_and(|value| value == "1");
    let path =
        Path::new(env!("CARGO_MANIFEST_DIR")).join("../bert-core/fixtures/minilm/reference.json");
    let text = std::fs::read_to_string(path).unwrap();
    let reference: Value = serde_json::from_str(&text).unwrap();

    let (mut passed, mut failed) = (0, 0);
    let mut report = |name: String, start: Instant, outcome: Outcome| {
        let seconds = start.elapsed().as_secs_f64();
        match outcome {
            Ok(detail) => {
                println!("test {name} ... ok ({detail}; {seconds:.1} s)");
                passed += 1;
            }
            Err(reason) => {
                println!("test {name} ... FAILED\n{reason}");
                failed += 1;
            }
        }
    };
    for (label, device) in test_devices() {
        let start = Instant::now();
        let embedder = load(checkpoint.as_ref(), &reference, &device);
        let outcome = embedder.as_ref().map_err(String::clone);
        let outcome = outcome.and_then(|embedder| check_vectors(embedder, &reference));
        report(format!("{label}::vectors"), start, outcome);

        let name = format!("{label}::stsbenchmark");
        match (&data, &embedder) {
            (None, _) => println!("test {name} ... ignored, set BERT_DATA_DIR to run it"),
            (Some(_), Ok(_)) if label.ends_with(":cpu") && !all => {
                println!(
                    "test {name} ... ignored, a software rasteriser: set BERT_STS_ALL=1 to run it"
                );
            }
            (Some(data), Ok(embedder)) => {
                let start = Instant::now();
                let outcome = check_ranking(embedder, &reference, data.as_ref());
                report(name, start, outcome);
            }
            (Some(_), Err(_)) => {}
        }
    }
    let verdict = if failed == 0 { "ok" } else { "FAILED" };
    println!("\ntest result: {verdict}. {passed} passed; {failed} failed");
    failed == 0
}

/// The model with nothing overridden: the settings are to come from its own files.
fn load(dir: &Path, reference: &Value, device: &Device) -> Result<SentenceEmbedder, String> {
    let embedder = SentenceEmbedder::from_dir(dir, &EmbedderOptions::default(), device)
        .map_err(|error| format!("{error}"))?;
    let settings = serde_json::json!([
        embedder.pooling().to_string(),
        embedder.is_normalized(),
        embedder.max_length(),
        embedder.dimension(),
    ]);
    let fields = ["pooling", "normalize", "max_seq_length", "hidden_size"];
    let expected: Value = fields.map(|field| reference[field].clone()).to_vec().into();
    match settings == expected {
        true => Ok(embedder),
        false => Err(format!("settings are {settings}, but should be {expected}")),
    }
}

fn check_vectors(embedder: &SentenceEmbedder, reference: &Value) -> Outcome {
    let sentences = reference["sentences"].as_array().unwrap();
    let mut worst = 0.0_f64;
    // Alone and in one batch: both have to agree with the reference.
    let texts: Vec<&str> = sentences
        .iter()
        .map(|s| s["text"].as_str().unwrap())
        .collect();
    let together = embedder.embed(&texts).map_err(|error| error.to_string())?;
    for ((sentence, text), batched) in sentences.iter().zip(&texts).zip(&together) {
        let alone = embedder
            .embed(&[text])
            .map_err(|error| error.to_string())?
            .remove(0);
        let expected = sentence["embedding"].as_array().unwrap();
        for values in [&alone.values, &batched.values] {
            if values.len() != expected.len() {
                return Err(format!(
                    "{} numbers instead of {}",
                    values.len(),
                    expected.len()
                ));
            }
            for (value, expected) in values.iter().zip(expected) {
                worst = worst.max((f64::from(*value) - expected.as_f64().unwrap()).abs());
            }
        }
    }
    let detail = format!(
        "{} sentences, alone and in a batch, off by {worst:.1e}",
        texts.len()
    );
    if worst <= VECTOR_BAR {
        Ok(detail)
    } else {
        Err(detail)
    }
}

fn check_ranking(embedder: &SentenceEmbedder, reference: &Value, data: &Path) -> Outcome {
    let expected = &reference["stsbenchmark"];
    let path = data.join(expected["file"].as_str().unwrap());
    let text = std::fs::read_to_string(&path).map_err(|e| format!("{}: {e}", path.display()))?;
    // Tab-separated without quoting: genre, file, year, id, score, two sentences.
    let rows: Vec<Vec<&str>> = text
        .lines()
        .map(|line| line.split('\t').collect())
        .collect();
    let pairs = expected["pairs"].as_u64().unwrap() as usize;
    if rows.len() != pairs || rows.iter().any(|row| row.len() < 7) {
        return Err(format!("{} does not hold {pairs} pairs", path.display()));
    }
    let scores: Vec<f64> = rows
        .iter()
        .map(|row| row[4].parse().unwrap_or(f64::NAN))
        .collect();
    let texts = rows
        .iter()
        .flat_map(|row| [Ok(row[5].to_owned()), Ok(row[6].to_owned())]);
    let mut vectors = Vec::new();
    let keep = |embedding: bert_heads::sentence_embedding::SentenceEmbedding| {
        vectors.push(embedding.values);
        Ok::<(), bert_heads::Error>(())
    };
    embedder
        .embed_lines(texts, |_| {}, keep)
        .map_err(|error| error.to_string())?;
    let cosines: Vec<f64> = vectors
        .as_chunks::<2>()
        .0
        .iter()
        .map(|[first, second]| cosine_similarity(first, second))
        .collect();
    let found = spearman(&cosines, &scores);
    let expected = expected["spearman_float64"].as_f64().unwrap();
    let detail = format!("{pairs} pairs, Spearman {found:.6}, sentence-transformers {expected:.6}");
    // Also false if a score was not a number.
    let agrees = (found - expected).abs() <= SPEARMAN_BAR;
    if agrees { Ok(detail) } else { Err(detail) }
}

/// Pearson's correlation of the ranks; equal values share the mean of theirs.
fn spearman(a: &[f64], b: &[f64]) -> f64 {
    let ranks = |values: &[f64]| -> Vec<f64> {
        let mut order: Vec<usize> = (0..values.len()).collect();
        order.sort_by(|a, b| values[*a].total_cmp(&values[*b]));
        let mut ranks = vec![0.0; values.len()];
        let mut next = 0;
        for equal in order.chunk_by(|a, b| values[*a] == values[*b]) {
            let mean = next as f64 + (equal.len() - 1) as f64 / 2.0;
            equal.iter().for_each(|index| ranks[*index] = mean);
            next += equal.len();
        }
        ranks
    };
    if a.iter().chain(b).any(|value| value.is_nan()) {
        return f64::NAN;
    }
    let centred = |values: &[f64]| -> Vec<f64> {
        let mean = values.iter().sum::<f64>() / values.len() as f64;
        values.iter().map(|value| value - mean).collect()
    };
    let (a, b) = (centred(&ranks(a)), centred(&ranks(b)));
    let dot = |a: &[f64], b: &[f64]| a.iter().zip(b).map(|(a, b)| a * b).sum::<f64>();
    dot(&a, &b) / (dot(&a, &a) * dot(&b, &b)).sqrt()
}
