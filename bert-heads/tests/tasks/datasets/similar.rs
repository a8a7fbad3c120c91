//! Texts and what is like them.

use bert_heads::datasets::{SimilarFormat, read_similar};

use super::*;

fn read(text: &str, layout: Layout, bad_rows: BadRows) -> bert_heads::Result<Vec<Vec<String>>> {
    let file = file(text);
    let format = SimilarFormat {
        layout,
        columns: None,
    };
    let (examples, _) = read_similar(file.path(), &format, bad_rows)?.read_all()?;
    Ok(examples.into_iter().map(|example| example.texts).collect())
}

#[test]
fn pairs_and_triplets_are_found_by_their_names() {
    let csv = "negative_2,anchor,Positive,negative_1\nz,a,b,\n,c,d,\n";
    let read_csv = read(csv, Layout::csv(), BadRows::Fail).unwrap();
    assert_eq!(read_csv, [vec!["a", "b", "z"], vec!["c", "d"]]);
    let json = "{\"sentence1\": \"a\", \"sentence2\": \"b\"}\n";
    let read_json = read(json, Layout::JsonLines, BadRows::Fail).unwrap();
    assert_eq!(read_json, [["a", "b"]]);
}

#[test]
fn what_is_missing_is_named() {
    let error = |text: &str| {
        let read = read(text, Layout::tsv(), BadRows::Fail);
        read.unwrap_err().to_string()
    };
    assert!(error("text\tlabel\na\t1\n").contains("second text"));
    assert!(error("anchor\tpositive\na\tb\nc\t \n").contains("line 3"));
    let skipped = read(
        "anchor\tpositive\na\tb\nc\t \n",
        Layout::tsv(),
        BadRows::Skip,
    );
    assert_eq!(skipped.unwrap().len(), 1);
}
