//! Completions and manual pages.

use std::fs;

use super::{assert_names, fail, model, refuse, succeed};

#[test]
fn every_shell_completes_every_command() {
    for shell in ["bash", "zsh", "fish", "powershell", "elvish"] {
        let (script, _) = succeed(&["completions", shell], "");
        for name in ["finetune", "demo", "no-dashboard"] {
            assert!(script.contains(name), "{shell}: {name}");
        }
    }
    assert!(refuse(&["completions", "cmd"]).contains("possible values"));
}

#[test]
fn every_command_has_a_page() {
    let (page, _) = succeed(&["man"], "");
    assert!(page.contains(".TH") && page.contains("finetune"), "{page}");
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("man1");
    succeed(&["man", "--output", path.to_str().unwrap()], "");
    for name in ["bert.1", "bert-demo.1", "bert-pretrain-train.1"] {
        let page = fs::read_to_string(path.join(name)).unwrap();
        assert!(page.contains(".SH SYNOPSIS"), "{name}");
    }
}

#[test]
fn a_path_of_the_wrong_kind_is_named_with_what_to_do() {
    let dir = tempfile::tempdir().unwrap();
    let (folder, file) = (dir.path(), dir.path().join("letter.txt"));
    fs::write(&file, "dear").unwrap();
    let (folder, file) = (folder.to_str().unwrap(), file.to_str().unwrap());
    let remedy = "is a file: name another directory";
    assert_names(&fail(&["man", "--output", file], b""), &[file, remedy]);
    assert_names(
        &fail(&["demo", "--output", file], b""),
        &[file, "is a file", "--output"],
    );
    let model = model();
    for (data, message) in [
        (folder, "it is a directory: name a file in it"),
        ("nowhere", "there is no such file"),
        (file, "add --format"),
    ] {
        let arguments = ["finetune", "--task", "classify", "--model", &model];
        let arguments = [&arguments[..], &["--train", data, "--out", folder]].concat();
        assert_names(&fail(&arguments, b""), &[data, message]);
    }
}
