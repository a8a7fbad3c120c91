//! Prepared files that are not what they should be.

use std::fs;
use std::path::{Path, PathBuf};

use bert_pretrain::instances::{PairOptions, PrepareOptions, PreparedInstances, prepare};
use bert_pretrain::{Error, Result};

use super::{FIRST_WORD, documents, tokenizer};

const MANIFEST: &str = "instances.json";

fn prepared(dir: &Path, seed: u64) -> PathBuf {
    let documents = documents(FIRST_WORD, &[&[4, 5, 3], &[2, 7]]);
    let options = PrepareOptions {
        pair: PairOptions {
            max_seq_length: 13,
            ..PairOptions::default()
        },
        duplicates: 2,
        seed,
        shards: 2,
        ..PrepareOptions::default()
    };
    prepare(&documents[..], &tokenizer(37), &options, dir, |_| {}).unwrap();
    dir.join("instances-00001-of-00002.bin")
}

fn opened(dir: &Path) -> Result<PreparedInstances> {
    let prepared = PreparedInstances::open(dir)?;
    prepared.verify()?;
    Ok(prepared)
}

fn message(dir: &Path) -> String {
    opened(dir).unwrap_err().to_string()
}

#[test]
fn flipped_bits_anywhere_are_noticed() {
    let dir = tempfile::tempdir().unwrap();
    let path = prepared(dir.path(), 7);
    let good = fs::read(&path).unwrap();
    for place in (0..good.len()).step_by(3) {
        let mut bytes = good.clone();
        bytes[place] ^= 1 << (place % 8);
        fs::write(&path, &bytes).unwrap();
        let error = message(dir.path());
        assert!(
            error.contains("instances-00001-of-00002.bin"),
            "{place}: {error}"
        );
        assert!(error.contains("again"), "{place}: {error}");
    }
    fs::write(&path, good).unwrap();
    opened(dir.path()).unwrap();
}

#[test]
fn a_damaged_instance_is_noticed_when_it_is_read_and_the_others_are_given() {
    let dir = tempfile::tempdir().unwrap();
    let path = prepared(dir.path(), 7);
    let mut bytes = fs::read(&path).unwrap();
    let records = PreparedInstances::open(dir.path()).unwrap().len();
    // The last record ends where the index of 8 bytes per record and 8 more begins.
    let in_second = {
        let first = dir.path().join("instances-00000-of-00002.bin");
        let json = fs::read_to_string(dir.path().join(MANIFEST)).unwrap();
        let manifest: serde_json::Value = serde_json::from_str(&json).unwrap();
        assert!(first.exists());
        manifest["shards"][1]["instances"].as_u64().unwrap() as usize
    };
    assert!(in_second > 1, "{in_second} of {records}");
    let last_byte = bytes.len() - 8 * (in_second + 1) - 5;
    bytes[last_byte] ^= 1;
    fs::write(&path, &bytes).unwrap();
    let damaged = PreparedInstances::open(dir.path()).unwrap();
    for index in 0..records - 1 {
        damaged.get(index).unwrap();
    }
    let error = damaged.get(records - 1).unwrap_err().to_string();
    assert!(error.contains("the checksum differs"), "{error}");
}

#[test]
fn truncation_and_addition_are_noticed_on_opening() {
    let dir = tempfile::tempdir().unwrap();
    let path = prepared(dir.path(), 7);
    let good = fs::read(&path).unwrap();
    for length in (0..good.len()).step_by(3) {
        fs::write(&path, &good[..length]).unwrap();
        let error = PreparedInstances::open(dir.path()).unwrap_err().to_string();
        let cut = error.contains("ends within its header") || error.contains("bytes instead of");
        assert!(cut, "{length}: {error}");
    }
    let longer = [&good[..], &[0]].concat();
    fs::write(&path, longer).unwrap();
    let error = PreparedInstances::open(dir.path()).unwrap_err().to_string();
    assert!(error.contains("bytes instead of"), "{error}");
}

#[test]
fn foreign_files_and_versions_are_told() {
    let dir = tempfile::tempdir().unwrap();
    let path = prepared(dir.path(), 7);
    let good = fs::read(&path).unwrap();
    fs::write(&path, "a text that somebody put here by mistake").unwrap();
    assert!(message(dir.path()).contains("does not begin as such a file"));
    let mut newer = good.clone();
    newer[8] = 2;
    fs::write(&path, newer).unwrap();
    let error = message(dir.path());
    assert!(
        error.contains("format version is 2") && error.contains("again"),
        "{error}"
    );
    let mut huge = good;
    huge[12..16].fill(0xff);
    fs::write(&path, huge).unwrap();
    assert!(message(dir.path()).contains("header is damaged"));
}

#[test]
fn shards_of_another_run_or_place_are_refused() {
    let (dir, other) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let second = prepared(dir.path(), 7);
    let foreign = prepared(other.path(), 8);
    let good = fs::read(&second).unwrap();
    fs::copy(&foreign, &second).unwrap();
    assert!(message(dir.path()).contains("another run"));
    fs::copy(dir.path().join("instances-00000-of-00002.bin"), &second).unwrap();
    assert!(message(dir.path()).contains("another run"));
    fs::remove_file(&second).unwrap();
    assert!(message(dir.path()).contains("cannot read"));
    fs::write(&second, good).unwrap();
    fs::copy(other.path().join(MANIFEST), dir.path().join(MANIFEST)).unwrap();
    assert!(message(dir.path()).contains("another run"));
}

#[test]
fn a_directory_without_a_whole_manifest_is_not_taken_for_prepared() {
    let dir = tempfile::tempdir().unwrap();
    prepared(dir.path(), 7);
    let manifest = dir.path().join(MANIFEST);
    let good = fs::read_to_string(&manifest).unwrap();
    for length in 0..good.trim_end().len() {
        fs::write(&manifest, &good[..length]).unwrap();
        assert!(message(dir.path()).contains("not a valid instance manifest"));
    }
    let instances = format!(
        "\"instances\": {}",
        opened_len(&manifest, &good, dir.path())
    );
    for (from, to, reason) in [
        (
            instances.as_str(),
            "\"instances\": 999",
            "numbers do not fit",
        ),
        ("\"version\": 1", "\"version\": 2", "version is 2"),
        ("\"version\"", "\"versoin\"", "versoin"),
    ] {
        assert!(good.contains(from));
        fs::write(&manifest, good.replacen(from, to, 1)).unwrap();
        let error = message(dir.path());
        assert!(error.contains(reason), "{error}");
    }
    fs::write(
        &manifest,
        "{\"version\": 1, \"instances\": 0, \"shards\": []}",
    )
    .unwrap();
    assert!(message(dir.path()).contains("no shard"));
    fs::remove_file(&manifest).unwrap();
    let error = message(dir.path());
    assert!(
        error.contains("holds none of") && error.contains("prepare"),
        "{error}"
    );
}

fn opened_len(manifest: &Path, good: &str, dir: &Path) -> usize {
    fs::write(manifest, good).unwrap();
    opened(dir).unwrap().len()
}

#[test]
fn another_vocabulary_is_refused() {
    let dir = tempfile::tempdir().unwrap();
    prepared(dir.path(), 7);
    let prepared = opened(dir.path()).unwrap();
    prepared.check_vocabulary(&tokenizer(37)).unwrap();
    prepared
        .check_vocabulary(&prepared.tokenizer().unwrap())
        .unwrap();
    let error = prepared.check_vocabulary(&tokenizer(36)).unwrap_err();
    assert!(
        matches!(
            error,
            Error::OtherVocabulary {
                expected: 42,
                found: 41,
                ..
            }
        ),
        "{error}"
    );
    // The same number of other words, beside the instances themselves.
    fs::remove_file(dir.path().join("tokenizer.json")).unwrap();
    let vocab = dir.path().join("vocab.txt");
    let words = fs::read_to_string(&vocab).unwrap().replace("w36", "v36");
    fs::write(&vocab, words).unwrap();
    let error = prepared.tokenizer().unwrap_err();
    assert!(
        matches!(
            error,
            Error::OtherVocabulary {
                expected: 42,
                found: 42,
                ..
            }
        ),
        "{error}"
    );
}
