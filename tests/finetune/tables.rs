//! Tables as they come: names of columns, separators, quotes, labels of several classes.

use super::*;

/// A model of the fixtures with words that it has tokens for.
fn model(workshop: &Workshop, head: &str) -> String {
    let source = Path::new(env!("CARGO_MANIFEST_DIR")).join("bert-core/fixtures/heads");
    let dir = workshop.path(head);
    fs::create_dir(&dir).unwrap();
    for name in ["config.json", "model.safetensors"] {
        fs::copy(source.join(head).join(name), dir.join(name)).unwrap();
    }
    let config = fs::read_to_string(dir.join("config.json")).unwrap();
    let config: Value = serde_json::from_str(&config).unwrap();
    let size = config["vocab_size"].as_u64().unwrap() as usize;
    let words = "[PAD] [UNK] [CLS] [SEP] [MASK] the cat a dog ran sat in paris john".split(' ');
    let words = words
        .map(str::to_owned)
        .chain((0..).map(|n| format!("w{n}")));
    let vocab: Vec<String> = words.take(size).collect();
    fs::write(dir.join("vocab.txt"), vocab.join("\n")).unwrap();
    dir.display().to_string()
}

fn file(workshop: &Workshop, name: &str, text: impl AsRef<[u8]>) -> String {
    fs::write(workshop.path(name), text).unwrap();
    workshop.text(name)
}

/// The labels of a classifier that learns a step from a file.
fn learnt(workshop: &Workshop, data: &str, arguments: &[&str]) -> Result<Vec<String>, String> {
    let mut finetune = bert(&[
        "finetune",
        "--steps",
        "1",
        "--no-dashboard",
        "--train",
        data,
    ]);
    let encoder = Path::new(env!("CARGO_MANIFEST_DIR")).join("bert-core/fixtures/tiny-pretraining");
    let out = tempfile::tempdir_in(workshop.dir.path()).unwrap();
    let out = out.path().join("out");
    finetune.arg("--model").arg(encoder).arg("--out").arg(&out);
    let output = finetune.args(arguments).output().unwrap();
    if !output.status.success() {
        return Err(message(&output));
    }
    let config = fs::read_to_string(out.join("config.json")).unwrap();
    let config: Value = serde_json::from_str(&config).unwrap();
    let names = config["id2label"].as_object().unwrap().values();
    Ok(names
        .map(|name| name.as_str().unwrap().to_owned())
        .collect())
}

#[test]
fn known_names_of_two_texts_are_read_as_pairs() {
    let workshop = Workshop::new();
    let model = model(&workshop, "regression");
    let values = |name: &str, text: &str| -> (Vec<f64>, String) {
        let data = file(&workshop, name, text);
        let output = succeed(&mut bert(&["predict", "--model", &model, &data]));
        let lines = json_lines(&output);
        let values = lines.iter().map(|line| line["value"].as_f64().unwrap());
        (values.collect(), message(&output))
    };
    let (pair, _) = values("a.csv", "sentence1,sentence2\nthe cat,a dog ran\n");
    let (alone, said) = values("b.csv", "text\nthe cat\n");
    assert!((pair[0] - alone[0]).abs() > 1e-3, "{pair:?} {alone:?}");
    assert!(!said.contains("column"), "{said}");
    for (name, text) in [
        ("c.csv", "query,document\nthe cat,a dog ran\n"),
        ("d.csv", "text,text_pair\nthe cat,a dog ran\n"),
        ("e.csv", "question,answer\nthe cat,a dog ran\n"),
        ("f.csv", "id,text2,text\n1,a dog ran,the cat\n"),
        ("g.jsonl", "{\"text\":\"the cat\",\"pair\":\"a dog ran\"}\n"),
        ("h.tsv", "Text\tText_Pair\nthe cat\ta dog ran\n"),
    ] {
        assert_eq!(values(name, text).0, pair, "{name}");
    }
    // A second text that only later objects have.
    let text = "{\"text\":\"the cat\"}\n{\"text\":\"the cat\",\"text_pair\":\"a dog ran\"}\n";
    let (found, _) = values("i.jsonl", text);
    assert_eq!(found, [alone[0], pair[0]]);

    // Of two texts one alone is read, and that is no secret.
    for (name, text) in [
        ("j.csv", "text,reply\nthe cat,a dog\n"),
        ("k.csv", "text,other\nthe cat,a dog ran\n"),
        (
            "l.jsonl",
            "{\"text\":\"the cat\",\"other\":\"a dog ran\"}\n",
        ),
    ] {
        let (found, said) = values(name, text);
        assert_eq!(found, alone, "{name}");
        assert!(
            said.contains("column `text` is read alone"),
            "{name}: {said}"
        );
    }
    let (_, said) = values("m.csv", "id,text,label,score\n3,the cat,very good,0.5\n");
    assert!(!said.contains("column"), "{said}");

    // A pair with an empty side is a pair.
    let (empty, _) = values(
        "n.tsv",
        "sentence1\tsentence2\nthe cat\t\nthe cat\ta dog ran\n",
    );
    assert!(
        (empty[0] - alone[0]).abs() > 1e-3 && empty[1] == pair[0],
        "{empty:?}"
    );
    let both = file(&workshop, "o.tsv", "sentence1\tsentence2\n \t\n");
    let refused = bert(&["predict", "--model", &model, &both])
        .output()
        .unwrap();
    assert!(!refused.status.success() && message(&refused).contains("line 2"));
}

#[test]
fn separators_quotes_and_line_ends_are_those_of_the_file() {
    let workshop = Workshop::new();
    let labels = ["neg", "pos"];
    let learnt = |name: &str, text: &str, arguments: &[&str]| {
        let data = file(&workshop, name, text);
        let arguments = [&["--task", "classify"], arguments].concat();
        learnt(&workshop, &data, &arguments)
    };
    for (name, text, arguments) in [
        (
            "a.csv",
            "text;label\r\nthe cat;pos\r\n\"a dog; ran\";neg\r\n",
            &[][..],
        ),
        ("b.csv", "text|label\nthe cat, a dog|pos\na dog|neg\n", &[]),
        (
            "c.data",
            "text~label\nthe cat~pos\na dog~neg\n",
            &["--separator", "~"],
        ),
        (
            "d.csv",
            "the cat, a dog;pos\na dog;neg\n",
            &[
                "--separator",
                "semicolon",
                "--no-header",
                "--text-column",
                "1",
                "--label-column",
                "2",
            ],
        ),
        (
            "e.tsv",
            "text\tlabel\n\"the \"\"cat\"\"\"\tpos\n\"a\tdog\"\tneg\n",
            &[],
        ),
        ("f.csv", "text,label\rthe cat,pos\ra dog,neg\r", &[]),
        ("g.csv", "\u{feff}text,label\nthe cat,pos\na dog,neg\n", &[]),
    ] {
        assert_eq!(learnt(name, text, arguments).unwrap(), labels, "{name}");
    }
    // A column that promises several labels, and has one.
    let text = "text,labels\nthe cat,pos\na dog,neg\n";
    assert_eq!(learnt("h.csv", text, &[]).unwrap(), labels);
    let text = "text,labels\nthe cat,\"pos,new\"\na dog,neg\n";
    let refused = learnt("i.csv", text, &[]).unwrap_err();
    assert!(
        refused.contains("line 2") && refused.contains("--multi-label"),
        "{refused}"
    );
}

#[test]
fn labels_of_several_classes_in_every_form() {
    let workshop = Workshop::new();
    let learnt = |name: &str, text: &str, arguments: &[&str]| {
        let data = file(&workshop, name, text);
        let task = ["--task", "classify", "--multi-label"];
        learnt(&workshop, &data, &[&task[..], arguments].concat())
    };
    let flags = "text,toxic,insult,rude\nthe cat,1,0,0\na dog,0,0,0\nthe dog,1,1,0\n";
    let hot = "{\"text\":\"the cat\",\"labels\":[1,0]}\n{\"text\":\"a dog\",\"labels\":[0,0]}\n";
    for (name, text, arguments, expected) in [
        (
            "a.csv",
            "text,label\nthe cat,\"a,b\"\na dog,b\n",
            &[][..],
            &["a", "b"][..],
        ),
        (
            "b.jsonl",
            "{\"text\":\"the cat\",\"label\":[\"a\",\"b\"]}\n{\"text\":\"a dog\",\"label\":[]}\n",
            &[],
            &["a", "b"],
        ),
        (
            "c.csv",
            "text,label\nthe cat,\"['a', 'b']\"\na dog,['b']\n",
            &[],
            &["a", "b"],
        ),
        (
            "d.csv",
            flags,
            &[
                "--text-column",
                "text",
                "--label-column",
                "toxic,insult,rude",
            ],
            &["toxic", "insult", "rude"],
        ),
        (
            "e.csv",
            flags,
            &["--labels", "rude,toxic,insult"],
            &["rude", "toxic", "insult"],
        ),
        ("f.jsonl", hot, &["--labels", "x,y"], &["x", "y"]),
        (
            "k.csv",
            "text,label\nthe cat,a|b\na dog,b\n",
            &[],
            &["a", "b"],
        ),
        (
            "l.csv",
            "text,kinds\nthe cat,\"a,b\"\na dog,b\n",
            &["--label-column", "kinds"],
            &["a", "b"],
        ),
    ] {
        assert_eq!(learnt(name, text, arguments).unwrap(), expected, "{name}");
    }
    let refused = learnt("g.jsonl", hot, &[]).unwrap_err();
    assert!(
        refused.contains("line 1") && refused.contains("--labels"),
        "{refused}"
    );
    let refused = learnt("h.csv", flags, &[]).unwrap_err();
    assert!(
        refused.contains("columns of 0 and 1") && refused.contains("--label-column"),
        "{refused}"
    );

    // Scored without a model, the gold labels agree with themselves.
    let data = file(&workshop, "i.csv", "text,label\nthe cat,\"a,b\"\na dog,b\n");
    let found = file(
        &workshop,
        "i.jsonl",
        "{\"labels\":[\"a\",\"b\"]}\n{\"labels\":[\"b\"]}\n",
    );
    let score = |data: &str, arguments: &[&str]| {
        let mut score = bert(&[
            "evaluate",
            "--task",
            "multi-label",
            "--json",
            "--data",
            data,
        ]);
        score.args(["--predictions", &found]).args(arguments);
        json_lines(&succeed(&mut score))[0]["micro_f1"].clone()
    };
    assert_eq!(score(&data, &[]), 1.0);
    let data = file(&workshop, "j.csv", "text,a,b\nthe cat,1,1\na dog,0,1\n");
    let columns = ["--text-column", "text", "--label-column", "a,b"];
    assert_eq!(score(&data, &columns), 1.0);
    assert_eq!(score(&data, &["--labels", "a,b"]), 1.0);
}

#[test]
fn words_come_with_comments_columns_and_spaces() {
    let workshop = Workshop::new();
    let model = model(&workshop, "token");
    let tokens = |data: &str, arguments: &[&str]| -> Vec<Value> {
        let mut predict = bert(&["predict", "--words", "--model", &model, data]);
        let lines = json_lines(&succeed(predict.args(arguments)));
        lines
            .into_iter()
            .map(|line| line["tokens"].clone())
            .collect()
    };
    let task = ["--task", "tokens"];
    let comments = "# id 1\tdomain=en\nthe _ _ O\ncat _ _ B-PER\n\n# id 2\tdomain=en\na _ _ O\n";
    let data = file(&workshop, "a.conll", comments);
    assert_eq!(learnt(&workshop, &data, &task).unwrap(), ["O", "B-PER"]);
    assert_eq!(
        tokens(&data, &[]),
        [serde_json::json!(["the", "cat"]), serde_json::json!(["a"])]
    );

    let columns = "1\tJohn\tB-PER\tO\n2\tran\tO\tO\n\n1\ta\tO\tB-LOC\n";
    let data = file(&workshop, "b.tsv", columns);
    let numbers = ["--text-column", "2", "--label-column", "3"];
    let labels = learnt(&workshop, &data, &[&task[..], &numbers].concat()).unwrap();
    assert_eq!(labels, ["O", "B-PER"]);
    assert_eq!(
        tokens(&data, &numbers)[0],
        serde_json::json!(["John", "ran"])
    );

    let keys =
        "{\"w\":[\"the\",\"cat\"],\"t\":[\"O\",\"B-X\"],\"tokens\":[\"no\"],\"tags\":[\"Y\"]}\n";
    let data = file(&workshop, "c.jsonl", keys);
    let names = ["--text-column", "w", "--label-column", "t"];
    let labels = learnt(&workshop, &data, &[&task[..], &names].concat()).unwrap();
    assert_eq!(labels, ["O", "B-X"]);
    assert_eq!(tokens(&data, &names)[0], serde_json::json!(["the", "cat"]));

    // Words of spaces, and what is predicted of them, are read again.
    let spaces =
        "{\"tokens\":[\"the\",\" \",\"cat\",\"\u{a0}\"],\"tags\":[\"O\",\"O\",\"B-PER\",\"O\"]}\n";
    let data = file(&workshop, "d.jsonl", spaces);
    let found = workshop.text("d.found");
    succeed(&mut bert(&[
        "predict", "--words", "--model", &model, &data, "--output", &found,
    ]));
    let mut score = bert(&["evaluate", "--task", "tokens", "--json", "--data", &data]);
    let scores = json_lines(&succeed(score.args(["--predictions", &found]))).remove(0);
    assert!(scores["f1"].is_number(), "{scores}");
    let spaces = file(
        &workshop,
        "e.conll",
        "New York\tB-LOC\nis\tO\n \tO\nold\tO\n",
    );
    assert_eq!(
        tokens(&spaces, &[])[0],
        serde_json::json!(["New York", "is", " ", "old"])
    );
}

#[test]
fn words_in_a_file_named_after_commas_need_a_separator() {
    let workshop = Workshop::new();
    let words = file(&workshop, "a.csv", "the,O\ncat,B-X\n");
    let task = ["--task", "tokens"];
    let refused = learnt(&workshop, &words, &task).unwrap_err();
    assert!(refused.contains("--separator comma"), "{refused}");
    let parted = [&task[..], &["--separator", "comma"]].concat();
    assert_eq!(learnt(&workshop, &words, &parted).unwrap(), ["O", "B-X"]);
}

#[test]
fn options_that_nothing_reads_are_refused() {
    let workshop = Workshop::new();
    let words = file(&workshop, "a.conll", "the O\ncat B-X\n");
    let json = file(
        &workshop,
        "b.jsonl",
        "{\"tokens\":[\"the\"],\"tags\":[\"O\"]}\n",
    );
    let texts = file(
        &workshop,
        "c.jsonl",
        "{\"text\":\"the cat\",\"label\":\"x\"}\n",
    );
    let plain = file(&workshop, "d.txt", "the cat\n");
    let squad = file(&workshop, "e.json", "{\"data\":[]}");
    let columns = ["--text-column", "1", "--label-column", "2"];
    let names = ["--text-column", "word", "--label-column", "tag"];
    for (task, data, arguments, needle) in [
        ("tokens", &words, &names[..], "give the number"),
        ("tokens", &words, &["--no-header"], "--no-header"),
        (
            "tokens",
            &words,
            &["--text-column", "1", "--pair-column", "2"],
            "--pair-column",
        ),
        ("tokens", &json, &columns, "give the key"),
        ("tokens", &json, &["--separator", "tab"], "--separator"),
        ("classify", &texts, &["--separator", ";"], "--separator"),
        ("classify", &texts, &["--no-header"], "--no-header"),
        ("classify", &texts, &["--scheme", "iob2"], "--scheme"),
        ("classify", &texts, &["--doc-stride", "3"], "--task qa"),
        ("classify", &plain, &columns, "plain text"),
        ("qa", &squad, &columns, "--text-column"),
    ] {
        let arguments = [&["--task", task], arguments].concat();
        let refused = learnt(&workshop, data, &arguments).unwrap_err();
        assert!(refused.contains(needle), "{task} {arguments:?}: {refused}");
    }
    let model = model(&workshop, "single-label");
    for (arguments, needle) in [
        (&["--text-column", "text"][..], "plain text"),
        (&["--skip-bad-rows"], "plain text"),
        (&["--answers-language", "zh"], "--answers-language"),
        (&["--n-best", "3"], "--n-best"),
    ] {
        let mut predict = bert(&["predict", "--model", &model, &plain]);
        let output = predict.args(arguments).output().unwrap();
        let said = message(&output);
        assert!(
            !output.status.success() && said.contains(needle),
            "{arguments:?}: {said}"
        );
    }
}

#[test]
fn scoring_demands_nothing_but_what_it_uses() {
    let workshop = Workshop::new();
    let score = |task: &str, data: &str, found: &str, arguments: &[&str]| -> Value {
        let mut score = bert(&["evaluate", "--task", task, "--data", data, "--json"]);
        let output = succeed(score.args(["--predictions", found]).args(arguments));
        json_lines(&output).remove(0)
    };
    // An offset that is wrong, an id that comes twice.
    let squad = r#"{"data":[{"paragraphs":[{"context":"the cat sat","qas":[
        {"id":"a","question":"?","answers":[{"text":"cat","answer_start":0}]},
        {"id":"b","answers":[{"text":"the dog","answer_start":99}]},
        {"id":"b","question":"?","answers":[{"text":"dog"}]}]}]}]}"#;
    let data = file(&workshop, "a.json", squad);
    let found = file(&workshop, "a.found", r#"{"a":"cat","b":"dog"}"#);
    let scores = score("qa", &data, &found, &[]);
    assert_eq!(
        (&scores["exact_match"], &scores["total"]),
        (&100.0.into(), &3.into())
    );
    // Lines as `bert predict` writes them.
    let lines = "{\"index\":0,\"id\":\"a\",\"answer\":\"cat\",\"score\":1.0}\n{\"id\":\"b\",\"answer\":\"dog\"}\n";
    let found = file(&workshop, "a.jsonl", lines);
    assert_eq!(score("qa", &data, &found, &[]), scores);

    let chinese = r#"{"data":[{"paragraphs":[{"context":"北京大学","qas":[
        {"id":"a","question":"?","answers":[{"text":"北京大学","answer_start":0}]}]}]}]}"#;
    let data = file(&workshop, "b.json", chinese);
    let found = file(&workshop, "b.found", r#"{"a":"北京"}"#);
    let scores = score("qa", &data, &found, &[]);
    assert!(
        (scores["f1"].as_f64().unwrap() - 200.0 / 3.0).abs() < 1e-9,
        "{scores}"
    );
    assert_eq!(scores["answers_language"], "zh");
    let words = score("qa", &data, &found, &["--answers-language", "en"]);
    assert_eq!(words["f1"], 0.0);

    // Texts play no part.
    for (name, text) in [
        ("c.csv", "text,label\n,x\n ,y\n"),
        ("d.csv", "id,label\n1,x\n2,y\n"),
        ("e.jsonl", "{\"label\":\"x\"}\n{\"label\":\"y\"}\n"),
    ] {
        let data = file(&workshop, name, text);
        let found = file(&workshop, "c.found", "x\ny\n");
        assert_eq!(
            score("classify", &data, &found, &[])["accuracy"],
            1.0,
            "{name}"
        );
    }
    let data = file(&workshop, "h.csv", "said,intent,label\n1,x,7\n2,y,7\n");
    let found = file(&workshop, "h.found", "x\ny\n");
    let scores = score("classify", &data, &found, &["--label-column", "intent"]);
    assert_eq!(scores["accuracy"], 1.0);
    let data = file(
        &workshop,
        "f.csv",
        "text,text_pair,score\na,b,1\nc,d,3\ne,f,2\n",
    );
    let lines = "{\"similarity\":0.1}\n{\"similarity\":0.3}\n{\"similarity\":0.2}\n";
    let found = file(&workshop, "f.found", lines);
    let spearman = score("similarity", &data, &found, &[])["spearmanr"]
        .as_f64()
        .unwrap();
    assert!((spearman - 1.0).abs() < 1e-9, "{spearman}");
    let data = file(
        &workshop,
        "g.csv",
        "question,choice0,choice1,label\na,b,c,1\nd,e,f,0\n",
    );
    let found = file(
        &workshop,
        "g.found",
        "{\"line\":2,\"choice\":1}\n{\"line\":3,\"choice\":1}\n",
    );
    assert_eq!(score("choice", &data, &found, &[])["accuracy"], 0.5);
    let data = file(
        &workshop,
        "i.csv",
        "question,choice0,choice1,label\n,b,,1\nd,,f,0\n",
    );
    assert_eq!(score("choice", &data, &found, &[])["accuracy"], 0.5);
}
