//! Files of anybody's making: altered copies of good ones through every reader, none of which may
//! panic.
//!
//! The targets are those of cargo-fuzz (`xtask/fuzz`). An altered file whose outcome is new is altered
//! further. `BERT_FUZZ_SECONDS` says how long each target runs, a moment by default.

#[allow(unreachable_pub, reason = "it is a library under cargo-fuzz")]
#[path = "../../../xtask/fuzz/src/lib.rs"]
mod targets;

use std::collections::HashSet;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::time::{Duration, Instant};

use bert_core::checkpoint::{Checkpoint, Loading};
use rand::rngs::ChaCha8Rng;
use rand::{RngExt, SeedableRng};

/// Altered files by default.
const FILES: usize = 400;
/// No reader takes longer over so small a file.
const SLOW: Duration = Duration::from_secs(10);
const LONGEST: usize = 1 << 16;

/// Pieces that files of these kinds hold, and some that they should not.
const PIECES: [&[u8]; 48] = [
    b"\"",
    b"\"\"",
    b"'",
    b"\t",
    b"\n",
    b"\r",
    b"\r\n",
    b"\n\n",
    b" ",
    b",",
    b";",
    b"|",
    b":",
    b"{",
    b"}",
    b"[",
    b"]",
    b"[[[[[[[[",
    b"null",
    b"true",
    b"0",
    b"1",
    b"-1",
    b"1e999",
    b"0.5",
    b"NaN",
    b"18446744073709551615",
    b"9223372036854775808",
    b"4294967295",
    b"\xef\xbb\xbf",
    b"\xff",
    b"\x00",
    b"\xe5\xad\x97",
    b"\xf0\x9f\x8d\x95",
    b"#",
    b"# id\t",
    b"O",
    b"B-PER",
    b"[1, 0, 1]",
    b"['a', 'b']",
    b"label",
    b"text",
    b"pair",
    b"answers",
    b"data_offsets",
    b"F32",
    b"..",
    b"\\ud800",
];

fn seeds(target: &str) -> Vec<Vec<u8>> {
    let texts: &[&str] = match target {
        "config" => &[
            targets::CONFIG,
            r#"{"model_type":"bert","id2label":{"0":"a","1":"b"},"num_labels":2,"vocab_size":5,"hidden_size":8,"num_hidden_layers":2,"num_attention_heads":2,"intermediate_size":9,"max_position_embeddings":4}"#,
        ],
        "vocabulary" => &[
            "[PAD]\n[UNK]\n[CLS]\n[SEP]\n[MASK]\nthe\ncat\n##s\n",
            "a\r\nb \n\n",
        ],
        "shards" => &[
            r#"{"metadata":{"total_size":8},"weight_map":{"a":"model-00001-of-00002.safetensors","b":"../model.safetensors"}}"#,
        ],
        "modules" => &[
            r#"[{"idx":0,"name":"0","path":"","type":"sentence_transformers.models.Transformer"},{"idx":1,"name":"1","path":"1_Pooling","type":"sentence_transformers.models.Pooling"},{"idx":2,"name":"2","path":"2_Normalize","type":"sentence_transformers.models.Normalize"}]"#,
            r#"{"word_embedding_dimension":4,"pooling_mode_cls_token":false,"pooling_mode_mean_tokens":true,"pooling_mode_max_tokens":false}"#,
        ],
        "conll" => &[
            "-DOCSTART- -X- O O\n\nEU NNP I-NP B-ORG\nrejects VBZ I-VP O\n\n# id 1\tx=y\nNew York\tB-LOC\n",
            "1\tJohn\tB-PER\tO\n\n1-2\ta b\tO\tO\n",
            "{\"tokens\":[\"EU\",\" \"],\"tags\":[\"B-ORG\",0]}\n",
        ],
        "tables" => &[
            "text,label\nthe cat,\"a,b\"\n\"a \"\"dog\"\"\n\",b\n",
            "text;text_pair;label\na;b;1\n;c;0\n",
            "sentence1\tsentence2\tlabels\n\"a\tb\"\tc\t[1, 0]\n",
            "{\"text\":\"a\",\"pair\":\"b\",\"labels\":[\"x\",\"y\"]}\n{\"text\":\"a\",\"labels\":[0,1]}\n",
            "context,ending0,ending1,label\na,b,c,1\n",
        ],
        "squad" => &[
            r#"{"version":"2","data":[{"title":"t","paragraphs":[{"context":"字 the cat","qas":[{"id":"a","question":"q","answers":[{"text":"cat","answer_start":6}],"is_impossible":false},{"id":1,"question":"q","is_impossible":true,"answers":[]}]}]}]}"#,
            "{\"id\":\"x\",\"context\":\"A b.\",\"question\":\"Q\",\"answers\":{\"text\":[\"b\"],\"answer_start\":[2]}}\n",
        ],
        _ => &[],
    };
    let mut seeds: Vec<Vec<u8>> = texts.iter().map(|text| text.as_bytes().to_vec()).collect();
    let formats = concat!(env!("CARGO_MANIFEST_DIR"), "/../bert-core/fixtures/formats");
    let wanted = match target {
        "safetensors" | "safetensors values" => ".safetensors",
        "pickle" | "pickle values" => ".bin",
        _ => return seeds,
    };
    // The smallest checkpoints of the fixtures, whole: their headers lie at the front or the back.
    let mut stack = vec![std::path::PathBuf::from(formats)];
    while let Some(dir) = stack.pop() {
        for entry in std::fs::read_dir(dir).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                stack.push(path);
            } else if path.display().to_string().ends_with(wanted) {
                seeds.push(std::fs::read(path).unwrap());
            }
        }
    }
    seeds.sort_by_key(Vec::len);
    seeds.truncate(4);
    assert!(!seeds.is_empty(), "{target}");
    seeds
}

/// The values of a checkpoint, into a model that fits the fixtures.
fn loaded(name: &str, data: &[u8]) -> String {
    let fixtures = concat!(
        env!("CARGO_MANIFEST_DIR"),
        "/../bert-core/fixtures/formats/f16"
    );
    let dir = tempfile::tempdir().unwrap();
    let config = std::path::Path::new(fixtures).join("config.json");
    std::fs::copy(config, dir.path().join("config.json")).unwrap();
    std::fs::write(dir.path().join(name), data).unwrap();
    let device = bert_core::device::test_devices().swap_remove(0).1;
    let loaded = Checkpoint::open(dir.path())
        .and_then(|checkpoint| checkpoint.load_model(Loading::Strict, &device));
    match loaded {
        Ok(_) => "loaded".to_owned(),
        Err(error) => error.to_string(),
    }
}

const VALUES: [targets::Target; 2] = [
    ("safetensors values", |data| {
        loaded("model.safetensors", data)
    }),
    ("pickle values", |data| loaded("pytorch_model.bin", data)),
];

/// A copy with some bytes changed, put in, taken out or doubled.
fn altered(seed: &[u8], other: &[u8], random: &mut ChaCha8Rng) -> Vec<u8> {
    let mut file = seed.to_vec();
    for _ in 0..random.random_range(1..=4) {
        let at = random.random_range(0..=file.len());
        let end = (at + random.random_range(1..=16)).min(file.len());
        match random.random_range(0..8) {
            0 if at < file.len() => file[at] ^= 1 << random.random_range(0..8),
            1 if at < file.len() => file[at] = random.random(),
            2 => drop(file.drain(at..end)),
            3 => {
                let doubled = file[at..end].to_vec();
                file.splice(at..at, doubled);
            }
            4 => file.truncate(at),
            5 if !other.is_empty() => {
                let from = random.random_range(0..other.len());
                let to = (from + random.random_range(1..=64)).min(other.len());
                file.splice(at..end, other[from..to].iter().copied());
            }
            _ => {
                let piece = PIECES[random.random_range(0..PIECES.len())];
                file.splice(at..at, piece.iter().copied());
            }
        }
    }
    file.truncate(LONGEST.max(seed.len()));
    file
}

/// An outcome without what differs from file to file.
fn signature(outcome: &str) -> String {
    let mut quoted = false;
    let kept = outcome.chars().filter(|c| {
        quoted ^= *c == '`';
        !quoted && !c.is_ascii_digit()
    });
    kept.collect::<String>()
        .replace(&std::env::temp_dir().display().to_string(), "")
        .split_whitespace()
        .filter(|word| !word.contains("/."))
        .collect()
}

/// Runs a target over altered files; how many ran, and how many outcomes there were.
fn run(name: &str, target: fn(&[u8]) -> String, seconds: Option<u64>) -> (usize, usize) {
    let mut random = ChaCha8Rng::seed_from_u64(name.len() as u64 + seconds.unwrap_or_default());
    let mut files = seeds(name);
    let originals = files.len();
    let mut outcomes = HashSet::new();
    let begun = Instant::now();
    let mut count = 0;
    loop {
        let is_over = match seconds {
            Some(seconds) => begun.elapsed() > Duration::from_secs(seconds),
            None => count >= FILES,
        };
        if is_over {
            return (count, outcomes.len());
        }
        let seed = &files[random.random_range(0..files.len())];
        let other = &files[random.random_range(0..files.len())];
        // The files as they are come first.
        let file = match count < originals {
            true => files[count].clone(),
            false => altered(seed, other, &mut random),
        };
        count += 1;
        let started = Instant::now();
        let found = catch_unwind(AssertUnwindSafe(|| target(&file)));
        let took = started.elapsed();
        let shown = || String::from_utf8_lossy(&file[..file.len().min(4000)]).into_owned();
        let Ok(outcome) = found else {
            let path = std::env::temp_dir().join(format!("hostile-{name}"));
            std::fs::write(&path, &file).unwrap();
            panic!("{name} panics over {}: {:?}", path.display(), shown());
        };
        assert!(took < SLOW, "{name} takes {took:?}: {:?}", shown());
        if outcomes.insert(signature(&outcome)) && file.len() <= LONGEST {
            files.push(file);
        }
    }
}

#[test]
fn no_file_makes_a_reader_panic() {
    let seconds = std::env::var("BERT_FUZZ_SECONDS").ok();
    let seconds = seconds.map(|text| text.parse().expect("BERT_FUZZ_SECONDS is a number"));
    let only = std::env::var("BERT_FUZZ_TARGET").ok();
    for (name, target) in targets::TARGETS.into_iter().chain(VALUES) {
        if only.as_deref().is_some_and(|only| only != name) {
            continue;
        }
        let (files, outcomes) = run(name, target, seconds);
        println!("{name}: {files} files, {outcomes} outcomes");
        assert!(
            outcomes > 1,
            "{name}: the files are all alike to their reader"
        );
    }
}

/// Files of half a megabyte, over which a reader that begins anew at each row, name or character sits for minutes.
fn long_files() -> Vec<(&'static str, String)> {
    const BYTES: usize = 1 << 19;
    let numbered = |count: usize, name: &str| -> String {
        let names: Vec<String> = (0..count).map(|n| format!("{name}{n}")).collect();
        names.join(",")
    };
    let repeated = |piece: &str| piece.repeat(BYTES / piece.len());
    // Quotes that close those of the line before and open others.
    let csv = format!("text,label\n{}", repeated("x\",\"y\n"));
    let tsv = format!("text\tlabel\n{}", repeated("\"x\"\t\"y\n"));
    let question = r#"{"id":"a","question":"q","answers":[{"text":"a","answer_start":9000000}]}"#;
    vec![
        ("tables", format!("{csv}a\"b,\"\n")),
        ("tables", csv),
        ("tables", tsv),
        (
            "tables",
            format!("text,label\na,\"{}\"\n", numbered(100_000, "l")),
        ),
        (
            "tables",
            format!("context,label,{}\n", numbered(30_000, "ending")),
        ),
        (
            "squad",
            format!(
                r#"{{"data":[{{"paragraphs":[{{"context":"{}","qas":[{question}]}}]}}]}}"#,
                repeated("a")
            ),
        ),
    ]
}

#[test]
fn no_long_file_keeps_a_reader_busy() {
    for (name, file) in long_files() {
        let (_, target) = targets::TARGETS
            .into_iter()
            .find(|(known, _)| *known == name)
            .unwrap();
        let started = Instant::now();
        target(file.as_bytes());
        let (took, head) = (started.elapsed(), &file[..40]);
        assert!(took < SLOW, "{name} takes {took:?}: {head:?}…");
    }
}
