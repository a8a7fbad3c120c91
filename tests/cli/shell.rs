//! Completions and manual pages.

use std::fs;

use super::{refuse, succeed};

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
