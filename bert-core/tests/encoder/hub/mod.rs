//! Models by hub id, against a small server that answers as the hub does.

mod server;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use bert_core::Error;
use bert_core::hub::{HubOptions, resolve_model_with};
use tempfile::TempDir;

use server::{COMMIT, Faults, ID, Server};

/// The files of a model as small as can be, and one nobody needs.
fn tiny() -> Vec<(&'static str, &'static [u8])> {
    vec![
        ("README.md", b"# not needed"),
        ("config.json", br#"{"hidden_size": 4}"#),
        ("model.safetensors", b"0123456789abcdefghijklmnopqrstuvwxyz"),
        ("pytorch_model.bin", b"not needed beside safetensors"),
        ("tokenizer.json", b"{}"),
        ("vocab.txt", b"[PAD]\n"),
        ("modules.json", b"[]"),
        (
            "1_Pooling/config.json",
            br#"{"word_embedding_dimension": 4}"#,
        ),
    ]
}

fn options(endpoint: &str, cache: &TempDir) -> HubOptions {
    HubOptions {
        endpoint: endpoint.to_owned(),
        cache_dir: cache.path().join("hub"),
        token: None,
        offline: false,
        progress: false,
    }
}

fn setup() -> (Server, TempDir, HubOptions) {
    let server = Server::start(&tiny());
    let cache = tempfile::tempdir().unwrap();
    let options = options(&server.endpoint, &cache);
    (server, cache, options)
}

/// The whole chain of messages.
fn message(error: &Error) -> String {
    let mut text = error.to_string();
    let mut source = std::error::Error::source(error);
    while let Some(cause) = source {
        text.push_str(&format!(": {cause}"));
        source = cause.source();
    }
    text
}

fn names(dir: &Path) -> Vec<String> {
    let mut names: Vec<_> = std::fs::read_dir(dir)
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .collect();
    names.sort();
    names
}

fn model_folder(options: &HubOptions) -> PathBuf {
    options.cache_dir.join("models--owner--tiny-bert")
}

#[test]
fn downloads_what_a_model_needs_into_the_hub_layout() {
    let (server, _cache, options) = setup();
    let dir = resolve_model_with(ID, &options).unwrap();

    let folder = model_folder(&options);
    assert_eq!(dir, folder.join("snapshots").join(COMMIT));
    assert_eq!(
        names(&dir),
        [
            "1_Pooling",
            "config.json",
            "model.safetensors",
            "modules.json",
            "tokenizer.json",
            "vocab.txt"
        ]
    );
    for (name, bytes) in tiny() {
        match name {
            "README.md" | "pytorch_model.bin" => assert!(!dir.join(name).exists()),
            _ => assert_eq!(std::fs::read(dir.join(name)).unwrap(), bytes, "{name}"),
        }
    }
    assert_eq!(names(&folder.join("refs")), ["main"]);
    assert_eq!(
        std::fs::read_to_string(folder.join("refs/main")).unwrap(),
        COMMIT
    );
    assert!(folder.join("blobs/etag-of-model.safetensors").is_file());
    // What the repository lacks is noted, so that nobody has to ask again.
    let absent = folder.join(".no_exist").join(COMMIT);
    assert!(absent.join("special_tokens_map.json").is_file());
    assert!(!absent.join("vocab.txt").exists());
    // The weights come last.
    let paths = server.requests();
    assert!(paths.last().unwrap().path.ends_with("/model.safetensors"));
    assert!(paths.iter().all(|request| request.authorization.is_none()));
}

#[test]
fn the_second_call_asks_nothing() {
    let (server, _cache, mut options) = setup();
    let first = resolve_model_with(ID, &options).unwrap();
    assert!(!server.requests().is_empty());
    assert_eq!(resolve_model_with(ID, &options).unwrap(), first);
    assert_eq!(
        resolve_model_with(&format!("{ID}@{COMMIT}"), &options).unwrap(),
        first
    );
    options.offline = true;
    assert_eq!(resolve_model_with(ID, &options).unwrap(), first);
    assert!(server.requests().is_empty());
}

#[test]
fn a_cache_that_python_filled_is_used_and_completed() {
    let (server, _cache, mut options) = setup();
    // What `AutoModel` and `AutoTokenizer` leave behind: nothing of sentence-transformers.
    let folder = model_folder(&options);
    let snapshot = folder.join("snapshots").join(COMMIT);
    std::fs::create_dir_all(&snapshot).unwrap();
    std::fs::create_dir_all(folder.join("refs")).unwrap();
    std::fs::write(folder.join("refs/main"), COMMIT).unwrap();
    for (name, bytes) in tiny() {
        if ["config.json", "model.safetensors", "vocab.txt"].contains(&name) {
            std::fs::write(snapshot.join(name), bytes).unwrap();
        }
    }

    options.offline = true;
    assert_eq!(resolve_model_with(ID, &options).unwrap(), snapshot);
    assert!(server.requests().is_empty());

    // Nobody listens here: what is cached is enough.
    options.offline = false;
    let endpoint = std::mem::replace(&mut options.endpoint, "http://127.0.0.1:1".to_owned());
    assert_eq!(resolve_model_with(ID, &options).unwrap(), snapshot);

    options.endpoint = endpoint;
    assert_eq!(resolve_model_with(ID, &options).unwrap(), snapshot);
    assert!(snapshot.join("1_Pooling/config.json").is_file());
    let fetched_weights = server.requests().iter().any(|request| {
        request.path.ends_with("model.safetensors") && request.range.as_deref() != Some("bytes=0-0")
    });
    assert!(!fetched_weights);
}

#[test]
fn offline_and_not_cached_says_how_to_get_it() {
    let (server, _cache, mut options) = setup();
    options.offline = true;
    let error = resolve_model_with(ID, &options).unwrap_err();
    assert!(matches!(error, Error::Hub { .. }));
    let text = message(&error);
    assert!(
        text.contains("HF_HUB_OFFLINE") && text.contains(&format!("hf download {ID}")),
        "{text}"
    );
    assert!(server.requests().is_empty());
}

#[test]
fn offline_and_partly_cached_says_what_is_missing() {
    let (_server, _cache, mut options) = setup();
    let dir = resolve_model_with(ID, &options).unwrap();
    std::fs::remove_file(dir.join("model.safetensors")).unwrap();
    options.offline = true;
    let text = message(&resolve_model_with(ID, &options).unwrap_err());
    assert!(
        text.contains("only partly in the cache (no weights)"),
        "{text}"
    );
}

#[test]
fn an_unknown_model_or_revision_says_so() {
    let (_server, _cache, options) = setup();
    for id in ["owner/other", "owner/tiny-bert@v9"] {
        let text = message(&resolve_model_with(id, &options).unwrap_err());
        assert!(
            text.contains(id) && text.contains("no such model or revision (404)"),
            "{text}"
        );
    }
}

#[test]
fn an_unreachable_hub_says_so() {
    let cache = tempfile::tempdir().unwrap();
    let options = options("http://127.0.0.1:1", &cache);
    let text = message(&resolve_model_with(ID, &options).unwrap_err());
    assert!(
        text.contains("http://127.0.0.1:1 cannot be reached"),
        "{text}"
    );
}

#[test]
fn a_private_model_needs_the_token() {
    let (server, _cache, mut options) = setup();
    server.set(Faults {
        token: Some("secret"),
        ..Faults::default()
    });
    let text = message(&resolve_model_with(ID, &options).unwrap_err());
    assert!(
        text.contains("401") && text.contains("set HF_TOKEN"),
        "{text}"
    );

    options.token = Some("wrong".to_owned());
    let text = message(&resolve_model_with(ID, &options).unwrap_err());
    assert!(text.contains("refuses the token"), "{text}");

    server.requests();
    options.token = Some("secret".to_owned());
    resolve_model_with(ID, &options).unwrap();
    for request in server.requests() {
        assert_eq!(
            request.authorization.as_deref(),
            Some("Bearer secret"),
            "{}",
            request.path
        );
    }
    assert!(!format!("{options:?}").contains("secret"));
}

#[test]
fn a_gated_model_names_its_page() {
    let (server, _cache, options) = setup();
    server.set(Faults {
        status: Some(403),
        ..Faults::default()
    });
    let text = message(&resolve_model_with(ID, &options).unwrap_err());
    let page = format!("{}/{ID}", server.endpoint);
    assert!(text.contains("403") && text.contains(&page), "{text}");
}

#[test]
fn sharded_weights_come_with_their_index() {
    let index = br#"{"weight_map": {"a": "model-00001-of-00002.safetensors",
                     "b": "model-00002-of-00002.safetensors", "c": "model-00001-of-00002.safetensors"}}"#;
    let server = Server::start(&[
        ("config.json", b"{}"),
        ("vocab.txt", b"[PAD]\n"),
        ("model.safetensors.index.json", index),
        ("model-00001-of-00002.safetensors", b"first"),
        ("model-00002-of-00002.safetensors", b"second"),
    ]);
    let cache = tempfile::tempdir().unwrap();
    let mut options = options(&server.endpoint, &cache);
    let dir = resolve_model_with(ID, &options).unwrap();
    assert_eq!(
        std::fs::read(dir.join("model-00002-of-00002.safetensors")).unwrap(),
        b"second"
    );

    options.offline = true;
    resolve_model_with(ID, &options).unwrap();
    std::fs::remove_file(dir.join("model-00002-of-00002.safetensors")).unwrap();
    let text = message(&resolve_model_with(ID, &options).unwrap_err());
    assert!(
        text.contains("no model-00002-of-00002.safetensors"),
        "{text}"
    );
}

#[test]
fn the_modules_of_sentence_transformers_come_with_their_weights() {
    let modules = br#"[{"path": "", "type": "sentence_transformers.models.Transformer"},
                       {"path": "1_Pooling", "type": "sentence_transformers.models.Pooling"},
                       {"path": "2_Dense", "type": "sentence_transformers.models.Dense"},
                       {"path": "3_Dense", "type": "sentence_transformers.models.Dense"},
                       {"path": "4_Normalize", "type": "sentence_transformers.models.Normalize"}]"#;
    let mut files = tiny();
    files.retain(|(name, _)| *name != "modules.json");
    let of_modules: [(&str, &[u8]); 7] = [
        ("modules.json", modules),
        ("2_Dense/config.json", b"{}"),
        ("2_Dense/model.safetensors", b"weights"),
        (
            "2_Dense/pytorch_model.bin",
            b"not needed beside safetensors",
        ),
        ("3_Dense/config.json", b"{}"),
        ("3_Dense/pytorch_model.bin", b"older weights"),
        ("5_Other/config.json", b"not of a module that is listed"),
    ];
    files.extend(of_modules);
    let server = Server::start(&files);
    let cache = tempfile::tempdir().unwrap();
    let mut options = options(&server.endpoint, &cache);
    let dir = resolve_model_with(ID, &options).unwrap();
    let is_there = |name: &str| dir.join(name).is_file();
    for name in [
        "2_Dense/config.json",
        "2_Dense/model.safetensors",
        "3_Dense/pytorch_model.bin",
        "1_Pooling/config.json",
    ] {
        assert!(is_there(name), "{name}");
    }
    assert!(!is_there("2_Dense/pytorch_model.bin") && !is_there("5_Other/config.json"));

    // Nothing more is asked for, and what is missing is known without the hub.
    server.requests();
    assert_eq!(resolve_model_with(ID, &options).unwrap(), dir);
    assert!(server.requests().is_empty());
    options.offline = true;
    std::fs::remove_file(dir.join("2_Dense/model.safetensors")).unwrap();
    let text = message(&resolve_model_with(ID, &options).unwrap_err());
    assert!(text.contains("no 2_Dense/model.safetensors"), "{text}");
    options.offline = false;
    assert_eq!(resolve_model_with(ID, &options).unwrap(), dir);
    assert!(is_there("2_Dense/model.safetensors"));
}

#[test]
fn an_index_that_names_a_missing_shard_is_refused() {
    let server = Server::start(&[
        ("config.json", b"{}"),
        (
            "model.safetensors.index.json",
            br#"{"weight_map": {"a": "gone.safetensors"}}"#,
        ),
    ]);
    let cache = tempfile::tempdir().unwrap();
    let text = message(&resolve_model_with(ID, &options(&server.endpoint, &cache)).unwrap_err());
    assert!(
        text.contains("gone.safetensors, which the repository lacks"),
        "{text}"
    );
}

#[test]
fn a_repository_without_readable_weights_is_refused() {
    let server = Server::start(&[("config.json", b"{}"), ("tf_model.h5", b"x")]);
    let cache = tempfile::tempdir().unwrap();
    let text = message(&resolve_model_with(ID, &options(&server.endpoint, &cache)).unwrap_err());
    assert!(text.contains("no weights this program reads"), "{text}");
}

#[test]
fn a_broken_transfer_is_an_error_and_is_resumed() {
    let (server, _cache, mut options) = setup();
    server.set(Faults {
        breaks_off: Some("model.safetensors"),
        ..Faults::default()
    });
    let text = message(&resolve_model_with(ID, &options).unwrap_err());
    assert!(text.contains("model.safetensors broke off"), "{text}");

    // Half a file is not taken for a model, by name or by commit.
    options.offline = true;
    assert!(resolve_model_with(ID, &options).is_err());
    assert!(resolve_model_with(&format!("{ID}@{COMMIT}"), &options).is_err());

    options.offline = false;
    server.set(Faults::default());
    server.requests();
    let dir = resolve_model_with(ID, &options).unwrap();
    assert_eq!(
        std::fs::read(dir.join("model.safetensors")).unwrap(),
        b"0123456789abcdefghijklmnopqrstuvwxyz"
    );
    let ranges: Vec<_> = server
        .requests()
        .into_iter()
        .filter(|request| request.path.ends_with("/model.safetensors"))
        .filter_map(|request| request.range)
        .filter(|range| range != "bytes=0-0")
        .collect();
    assert_eq!(ranges, ["bytes=18-"]);
}

#[test]
fn a_transfer_that_ends_early_without_an_error_is_discarded() {
    let (server, _cache, options) = setup();
    server.set(Faults {
        sent_short: Some("model.safetensors"),
        ..Faults::default()
    });
    let text = message(&resolve_model_with(ID, &options).unwrap_err());
    assert!(text.contains("18 bytes of 36"), "{text}");
    let folder = model_folder(&options);
    assert!(!folder.join("blobs/etag-of-model.safetensors").exists());
    assert!(!folder.join("refs/main").exists());

    server.set(Faults::default());
    let dir = resolve_model_with(ID, &options).unwrap();
    assert_eq!(
        std::fs::metadata(dir.join("model.safetensors"))
            .unwrap()
            .len(),
        36
    );
}

#[test]
fn a_finished_part_or_a_short_file_from_a_killed_process_does_not_stay() {
    let (_server, _cache, options) = setup();
    let folder = model_folder(&options);
    let snapshot = folder.join("snapshots").join(COMMIT);
    std::fs::create_dir_all(&snapshot).unwrap();
    std::fs::create_dir_all(folder.join("blobs")).unwrap();
    std::fs::write(folder.join("blobs/etag-of-vocab.part"), "[PAD]\n").unwrap();
    std::fs::write(snapshot.join("model.safetensors"), "0123").unwrap();
    let dir = resolve_model_with(ID, &options).unwrap();
    assert_eq!(std::fs::read(dir.join("vocab.txt")).unwrap(), b"[PAD]\n");
    assert_eq!(
        std::fs::metadata(dir.join("model.safetensors"))
            .unwrap()
            .len(),
        36
    );
}

#[test]
fn a_cached_commit_is_completed_when_the_repository_has_moved_on() {
    let (server, _cache, options) = setup();
    let dir = resolve_model_with(ID, &options).unwrap();
    std::fs::remove_file(dir.join("vocab.txt")).unwrap();
    server.set(Faults {
        moved_on: true,
        ..Faults::default()
    });
    assert_eq!(resolve_model_with(ID, &options).unwrap(), dir);
    assert!(dir.join("vocab.txt").is_file());
    let folder = model_folder(&options);
    assert_eq!(
        std::fs::read_to_string(folder.join("refs/main")).unwrap(),
        COMMIT
    );
}

#[test]
fn a_directory_is_itself_and_a_missing_path_is_named() {
    let cache = tempfile::tempdir().unwrap();
    let options = options("http://127.0.0.1:1", &cache);
    let dir = cache.path().to_str().unwrap();
    assert_eq!(resolve_model_with(dir, &options).unwrap(), cache.path());

    let missing = format!("{dir}/nowhere/at/all");
    let error = resolve_model_with(&missing, &options).unwrap_err();
    assert!(matches!(error, Error::Io { .. }), "{error}");
    assert!(error.to_string().contains(&missing), "{error}");

    let file = cache.path().join("config.json");
    std::fs::write(&file, "{}").unwrap();
    let text = message(&resolve_model_with(file.to_str().unwrap(), &options).unwrap_err());
    assert!(text.contains("it is a file"), "{text}");

    let text = message(&resolve_model_with("no model", &options).unwrap_err());
    assert!(
        text.contains("neither an existing directory nor a hub id"),
        "{text}"
    );
}

#[test]
fn the_environment_is_read_as_huggingface_hub_reads_it() {
    let home = tempfile::tempdir().unwrap();
    let from = |variables: &[(&str, &str)]| {
        let variables: BTreeMap<_, _> = variables
            .iter()
            .map(|(name, value)| ((*name).to_owned(), (*value).to_owned()))
            .collect();
        HubOptions::from_lookup(|name| variables.get(name).cloned(), home.path().to_owned())
    };

    let plain = from(&[]);
    assert_eq!(plain.endpoint, "https://huggingface.co");
    assert_eq!(plain.cache_dir, home.path().join(".cache/huggingface/hub"));
    assert_eq!(
        (plain.token, plain.offline, plain.progress),
        (None, false, true)
    );

    assert_eq!(from(&[("HF_HOME", "/a")]).cache_dir, Path::new("/a/hub"));
    assert_eq!(
        from(&[("HF_HOME", "~/a")]).cache_dir,
        home.path().join("a/hub")
    );
    assert_eq!(
        from(&[("XDG_CACHE_HOME", "/x")]).cache_dir,
        Path::new("/x/huggingface/hub")
    );
    assert_eq!(
        from(&[("HF_HOME", "/a"), ("HF_HUB_CACHE", "/b")]).cache_dir,
        Path::new("/b")
    );
    assert_eq!(
        from(&[("HF_ENDPOINT", "http://mirror/")]).endpoint,
        "http://mirror"
    );
    for value in ["1", "true", "YES", "On"] {
        assert!(from(&[("HF_HUB_OFFLINE", value)]).offline, "{value}");
    }
    for value in ["", "0", "false", "no"] {
        assert!(!from(&[("HF_HUB_OFFLINE", value)]).offline, "{value}");
    }
    assert!(!from(&[("HF_HUB_DISABLE_PROGRESS_BARS", "1")]).progress);

    let token = home.path().join("token");
    std::fs::write(&token, "of-the-file\n").unwrap();
    let hf_home = ("HF_HOME", home.path().to_str().unwrap());
    assert_eq!(from(&[hf_home]).token.as_deref(), Some("of-the-file"));
    assert_eq!(
        from(&[("HF_TOKEN_PATH", token.to_str().unwrap())])
            .token
            .as_deref(),
        Some("of-the-file")
    );
    assert_eq!(
        from(&[hf_home, ("HF_TOKEN", " mine ")]).token.as_deref(),
        Some("mine")
    );
}
