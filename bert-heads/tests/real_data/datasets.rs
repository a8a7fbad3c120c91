//! The presets read published files to the last row, and find as many as their authors count.
//!
//! The data are not in this repository. A run without them says so.
//!
//! - `BERT_DATA_DIR`: holds `glue/CoLA`, `conll2003`, `squad-dev`, …; without it nothing runs, and
//!   what it lacks is ignored by name.

use std::path::{Path, PathBuf};
use std::time::Instant;

use bert_heads::datasets::{BadRows, DataFiles, Format, Part, Preset, read_tokens};

/// Preset, its directory, and the rows of train, validation and test; 0 where there is no file.
const SETS: [(&str, &str, [usize; 3]); 15] = [
    ("cola", "glue/CoLA", [8_551, 1_043, 1_063]),
    ("sst2", "glue/SST-2", [67_349, 872, 1_821]),
    ("mrpc", "glue/MRPC", [3_667, 408, 1_725]),
    ("rte", "glue/RTE", [2_490, 277, 0]),
    ("stsb", "glue/STS-B", [5_749, 1_500, 0]),
    ("wnli", "glue/WNLI", [635, 71, 0]),
    ("stsbenchmark", "stsbenchmark", [5_749, 1_500, 1_379]),
    ("stsbenchmark-zh", "stsbenchmark", [5_231, 1_458, 1_361]),
    ("chnsenticorp", "chnsenticorp", [9_600, 1_200, 1_200]),
    ("ocnli", "ocnli", [10_000, 3_000, 0]),
    ("conll2003", "conll2003", [14_041, 3_250, 3_453]),
    ("msra-ner", "msra-ner", [50_658, 0, 4_631]),
    ("resume-ner", "resume-ner", [3_821, 463, 477]),
    ("squad", "squad-dev", [0, 10_570, 0]),
    ("squad-v2", "squad-dev", [0, 11_873, 0]),
];
/// More questions in the format of SQuAD.
const SHIFTS: [(&str, usize); 3] = [
    ("new_wiki_v1.0.json", 7_938),
    ("reddit_v1.0.json", 9_803),
    ("amazon_reviews_v1.0.json", 9_885),
];

/// Summary of the rows read, or the reason for the failure.
type Outcome = Result<String, String>;

/// Runs the tests; false if one fails.
pub(crate) fn run() -> bool {
    let Some(data) = std::env::var_os("BERT_DATA_DIR") else {
        println!("0 tests: set BERT_DATA_DIR to a directory that holds glue/, conll2003/, …");
        return true;
    };
    let data = Path::new(&data);
    let (mut passed, mut failed, mut ignored) = (0, 0, 0);
    let mut run = |name: &str, dir: PathBuf, test: &dyn Fn(&Path) -> Outcome| {
        if !dir.is_dir() {
            println!("test {name} ... ignored, there is no {}", dir.display());
            ignored += 1;
            return;
        }
        let start = Instant::now();
        let outcome = test(&dir);
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
    for (name, dir, rows) in SETS {
        run(name, data.join(dir), &|dir| preset(name, dir, rows));
    }
    run("squadshifts", data.join("squadshifts"), &shifts);
    run("conll2003_entities", data.join("conll2003"), &entities);
    let verdict = if failed == 0 { "ok" } else { "FAILED" };
    println!("\ntest result: {verdict}. {passed} passed; {failed} failed; {ignored} ignored");
    failed == 0
}

fn preset(name: &str, dir: &Path, rows: [usize; 3]) -> Outcome {
    let preset = Preset::from_name(name).map_err(|e| e.to_string())?;
    let DataFiles {
        train,
        validation,
        test,
    } = preset.files(dir).map_err(|e| e.to_string())?;
    let parts = [
        (Part::Train, train.into_iter().collect()),
        (Part::Validation, validation),
        (Part::Test, test),
    ];
    let mut details = Vec::new();
    for ((part, paths), expected) in parts.into_iter().zip(rows) {
        let mut found = 0;
        for path in paths {
            found += count(preset, part, &path, &mut details)?;
        }
        if found != expected {
            return Err(format!("{part:?} has {found} row(s) instead of {expected}"));
        }
    }
    Ok(details.join(", "))
}

fn shifts(dir: &Path) -> Outcome {
    let preset = Preset::from_name("squad").map_err(|e| e.to_string())?;
    let mut details = Vec::new();
    for (name, expected) in SHIFTS {
        let found = count(preset, Part::Train, &dir.join(name), &mut details)?;
        if found != expected {
            return Err(format!("{name} has {found} row(s) instead of {expected}"));
        }
    }
    Ok(details.join(", "))
}

/// Expects as many `B` after conversion as the data set's paper counts entities in its Table 2.
fn entities(dir: &Path) -> Outcome {
    let preset = Preset::from_name("conll2003").map_err(|e| e.to_string())?;
    let Format::Tokens(format) = preset.format(Part::Train) else {
        return Err("it is not about words".to_owned());
    };
    let files = [
        ("eng.train", 23_499),
        ("eng.testa", 5_942),
        ("eng.testb", 5_648),
    ];
    for (name, expected) in files {
        let examples = read_tokens(dir.join(name), &format, BadRows::Fail);
        let examples = examples.and_then(|examples| examples.read_all());
        let (examples, _) = examples.map_err(|e| e.to_string())?;
        let tags = examples
            .iter()
            .flat_map(|example| example.tags.iter().flatten());
        let found = tags.filter(|tag| tag.starts_with("B-")).count();
        if found != expected {
            return Err(format!("{name} has {found} entities instead of {expected}"));
        }
    }
    Ok("as many as its authors count".to_owned())
}

/// Reads a file without passing over anything.
fn count(
    preset: &Preset,
    part: Part,
    path: &Path,
    details: &mut Vec<String>,
) -> Result<usize, String> {
    let report = preset.format(part).check(path, BadRows::Fail);
    let report = report.map_err(|e| e.to_string())?;
    let name = path.file_name().unwrap_or_default().to_string_lossy();
    details.push(match report.unlabelled {
        0 => format!("{name} {}", report.examples),
        none => format!("{name} {} and {none} without a label", report.examples),
    });
    Ok(report.rows())
}
