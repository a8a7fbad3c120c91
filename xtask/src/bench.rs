//! `bench`: the standard measurements, into docs/benchmarks.md.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use anyhow::{Context, Result, bail};
use clap::Args;

use crate::{parity, peers, python, shell};

#[derive(Args)]
pub(crate) struct Options {
    /// Device labels to measure; their Cargo features are compiled in [default: flex,ndarray,libtorch,wgpu:cpu; with --zoo
    /// flex,libtorch]
    #[arg(long, value_delimiter = ',')]
    devices: Vec<String>,
    /// Other implementations to measure; an empty list leaves them out [default: all that run on processors; with --zoo
    /// transformers,onnxruntime]
    #[arg(long, value_delimiter = ',')]
    peers: Option<Vec<String>>,
    /// all-MiniLM-L6-v2 as a directory, for sentence vectors; without it that part is left out.
    #[arg(long, env = "BERT_REAL_CHECKPOINT")]
    checkpoint: Option<PathBuf>,
    /// Measure how time grows with sizes, batches and lengths instead.
    #[arg(long)]
    scaling: bool,
    /// Measure every family at base size instead.
    #[arg(long, conflicts_with = "scaling")]
    zoo: bool,
    /// Families to measure with --zoo, by model_type, or all of them.
    #[arg(long, value_delimiter = ',', default_value = "all", requires = "zoo")]
    families: Vec<String>,
    /// Size of the models of --zoo; a small one shows that everything runs.
    #[arg(long, default_value = "base", requires = "zoo")]
    preset: String,
    /// Rounds of --zoo, in which all contestants take turns.
    #[arg(long, default_value_t = 3, requires = "zoo")]
    rounds: usize,
    /// Texts of --zoo that become vectors.
    #[arg(long, default_value_t = 4096, requires = "zoo")]
    texts: usize,
    /// A `bert` that is built already and has the devices, instead of one built now.
    #[arg(long)]
    program: Option<PathBuf>,
    /// Show the tables only, and leave docs/benchmarks.md as it is.
    #[arg(long)]
    dry_run: bool,
    #[command(flatten)]
    libtorch: parity::LibTorch,
}

/// A call of `bert bench`.
struct Part {
    /// Name of its files, and its heading.
    name: &'static str,
    title: &'static str,
    /// Beginning with `bench`.
    arguments: Vec<String>,
}

/// Measures and writes the tables into the part of docs/benchmarks.md that is kept for them.
///
/// # Errors
/// If the command can't be built, or a part measures nothing.
pub(crate) fn run(options: &Options) -> Result<()> {
    let parts = match options.section() {
        "scaling" => scaling(options),
        "zoo" => zoo(options),
        _ => standard(options),
    };
    if parts.is_empty() {
        bail!(
            "there is nothing to measure on {}",
            options.devices().join(", ")
        );
    }
    let program = match &options.program {
        Some(program) => std::path::absolute(program)
            .with_context(|| format!("could not find `{}`", program.display()))?,
        None => build(options)?,
    };
    let out = python::work().join("bench");
    fs::create_dir_all(&out).with_context(|| format!("could not make `{}`", out.display()))?;
    let mut text = String::new();
    for part in &parts {
        eprintln!("\n=== {} ===", part.title);
        let file = |extension| out.join(part.name).with_extension(extension);
        let mut bench = Command::new(&program);
        bench.current_dir(shell::root()).args(&part.arguments);
        bench.arg("--json").arg(file("json"));
        bench.arg("--report").arg(file("html"));
        if std::env::var_os("BERT_PEERS_DIR").is_none() {
            bench.env("BERT_PEERS_DIR", peers::directory());
        }
        options.apply_libtorch(&mut bench)?;
        let output = bench.stdin(Stdio::null()).stderr(Stdio::inherit()).output();
        let output = output.with_context(|| format!("could not start `{}`", program.display()))?;
        if !output.status.success() {
            bail!("the part `{}` failed ({})", part.name, output.status);
        }
        let table = String::from_utf8(output.stdout).context("the table is not UTF-8")?;
        // The paths of this machine are of no use elsewhere.
        let table = without_files(&table, &file("json"), &file("html"));
        let table = match &options.checkpoint {
            Some(checkpoint) => with_model_name(&table, &absolute(checkpoint)),
            None => table,
        };
        text += &format!("\n### {}\n\n{table}", part.title);
    }
    print!("{text}");
    eprintln!("\nrecords and pages with charts are in {}", out.display());
    if options.dry_run {
        return Ok(());
    }
    let page = shell::root().join("docs").join("benchmarks.md");
    let old = fs::read_to_string(&page)
        .with_context(|| format!("could not read `{}`", page.display()))?;
    let new = replaced(&old, options.section(), &text)?;
    let beside = page.with_extension("md.new");
    fs::write(&beside, new).with_context(|| format!("could not write `{}`", beside.display()))?;
    fs::rename(&beside, &page).with_context(|| format!("could not write `{}`", page.display()))?;
    Ok(())
}

impl Options {
    /// The part of docs/benchmarks.md that the tables belong to.
    fn section(&self) -> &'static str {
        match (self.scaling, self.zoo) {
            (true, _) => "scaling",
            (_, true) => "zoo",
            _ => "standard",
        }
    }

    fn devices(&self) -> Vec<&str> {
        match (self.devices.is_empty(), self.zoo) {
            (false, _) => self.devices.iter().map(String::as_str).collect(),
            (true, true) => vec!["flex", "libtorch"],
            (true, false) => vec!["flex", "ndarray", "libtorch", "wgpu:cpu"],
        }
    }

    /// Puts LibTorch in place where it is measured.
    fn apply_libtorch(&self, command: &mut Command) -> Result<()> {
        let is_measured = |label: &&str| label.starts_with("libtorch");
        match self.devices().iter().any(is_measured) {
            true => self.libtorch.apply(command),
            false => Ok(()),
        }
    }

    fn peers(&self) -> String {
        match (&self.peers, self.zoo) {
            (Some(peers), _) => peers.join(","),
            (None, true) => "transformers,onnxruntime".to_owned(),
            (None, false) => {
                "transformers,transformers-stock,onnxruntime,onnxruntime-int8,sentence-transformers,candle".to_owned()
            }
        }
    }
}

/// The command with every backend that is asked for, and where it is.
fn build(options: &Options) -> Result<PathBuf> {
    let mut features = Vec::new();
    for label in options.devices() {
        let feature = parity::feature(label)?;
        if !features.contains(&feature) {
            features.push(feature);
        }
    }
    // Tuning a software rasteriser takes longer than all of this; a GPU is nothing without it.
    if options.devices().into_iter().any(is_gpu) {
        features.push("autotune");
    }
    let mut cargo = shell::cargo();
    // With the rest of the workspace, or its features would differ and Burn be built again.
    cargo.args([
        "build",
        "--release",
        "--workspace",
        "--bin",
        "bert",
        "--no-default-features",
    ]);
    cargo.args(["--features", &features.join(",")]);
    options.apply_libtorch(&mut cargo)?;
    shell::run(&mut cargo)?;
    let name = format!("bert{}", std::env::consts::EXE_SUFFIX);
    let target = std::env::var_os("CARGO_TARGET_DIR").map(PathBuf::from);
    let target = target.unwrap_or_else(|| shell::root().join("target"));
    Ok(target.join("release").join(name))
}

/// A rasteriser would take hours where the others take minutes.
fn is_rasteriser(label: &str) -> bool {
    label.ends_with(":cpu") && !label.starts_with("libtorch")
}

fn is_gpu(label: &str) -> bool {
    let on_host = ["flex", "ndarray", "libtorch", "libtorch:cpu", "cpu"];
    !on_host.contains(&label) && !is_rasteriser(label)
}

fn part(name: &'static str, title: &'static str, devices: &[&str], arguments: &str) -> Part {
    let words = arguments.split_whitespace().map(str::to_owned);
    let mut all = vec![
        "bench".to_owned(),
        "--devices".to_owned(),
        devices.join(","),
    ];
    all.extend(words);
    Part {
        name,
        title,
        arguments: all,
    }
}

/// About twenty minutes on two cores.
fn standard(options: &Options) -> Vec<Part> {
    let labels = || options.devices().into_iter();
    let (slow, fast): (Vec<&str>, Vec<&str>) = labels().partition(|label| is_rasteriser(label));
    let mut parts = Vec::new();
    if !fast.is_empty() {
        let shape = "--preset base --batch-sizes 8 --seq-lengths 128";
        parts.push(part(
            "forward",
            "Encoder, forward",
            &fast,
            &format!("{shape} --mode forward --int8"),
        ));
        // Steps take seconds each.
        let train = format!("{shape} --mode train --seconds 10 --min-samples 3");
        parts.push(part("train", "A step of fine-tuning", &fast, &train));
    }
    if let Some(checkpoint) = options.checkpoint.as_ref().filter(|_| !fast.is_empty()) {
        let embed = "--mode embed --int8 --batch-sizes 256 --seq-lengths 128 --lengths-of docs/pretraining.md";
        let mut embed = part("embed", "Texts to sentence vectors", &fast, embed);
        let model = absolute(checkpoint).display().to_string();
        embed.arguments.extend(["--model".to_owned(), model]);
        parts.push(embed);
    }
    add_peers(&mut parts, options);
    if !slow.is_empty() {
        let reference = labels().find(|label| *label == "flex");
        let devices: Vec<&str> = slow.into_iter().chain(reference).collect();
        let tiny = "--preset tiny --batch-sizes 4 --seq-lengths 64 --mode forward";
        parts.push(part(
            "software",
            "Software rasterisers, on a tiny model",
            &devices,
            tiny,
        ));
    }
    parts
}

/// Has the other implementations measured in every part.
fn add_peers(parts: &mut [Part], options: &Options) {
    let peers = options.peers();
    for part in parts.iter_mut().filter(|_| !peers.is_empty()) {
        part.arguments.extend(["--peers".to_owned(), peers.clone()]);
    }
}

/// Every family: the forward pass, at 1,024 tokens where there are as many positions, short texts to vectors, a step of
/// fine-tuning.
fn zoo(options: &Options) -> Vec<Part> {
    let mut devices = options.devices();
    devices.retain(|label| !is_rasteriser(label));
    if devices.is_empty() {
        return Vec::new();
    }
    let models = format!(
        "--family {} --preset {}",
        options.families.join(","),
        options.preset
    );
    let batch = |length: usize| format!("{models} --batch-sizes 8 --seq-lengths {length}");
    let rounds = options.rounds;
    let timed = |length: usize| format!("{} --rounds {rounds} --min-samples 3", batch(length));
    let forward = format!("{} --mode forward --seconds 3", timed(128));
    let long = format!("{} --mode forward --seconds 5", timed(1024));
    let texts = options.texts;
    let embed = format!(
        "{models} --mode embed --batch-sizes {texts} --seq-lengths 128 --lengths {SHORT_TEXTS} \
         --rounds 1 --seconds 1 --warmup-seconds 1 --min-samples 1"
    );
    let train = format!("{} --mode train --seconds 5", timed(128));
    let mut parts = vec![
        part("zoo-forward", "Forward, 8 x 128", &devices, &forward),
        part("zoo-long", "Forward, 8 x 1,024", &devices, &long),
        part(
            "zoo-embed",
            "Short texts to sentence vectors",
            &devices,
            &embed,
        ),
        part(
            "zoo-train",
            "A step of fine-tuning, 8 x 128",
            &devices,
            &train,
        ),
    ];
    add_peers(&mut parts, options);
    parts
}

/// Numbers of tokens of texts: 200 quantiles of the lengths of rows of SST-2's training file.
const SHORT_TEXTS: &str = "benchmarks/short-texts.lengths";

/// Sizes, batches and lengths from small to large, those left out that would take minutes an iteration.
fn scaling(options: &Options) -> Vec<Part> {
    let labels = options.devices().into_iter();
    let devices: Vec<&str> = labels.filter(|label| !is_rasteriser(label)).collect();
    if devices.is_empty() {
        return Vec::new();
    }
    let arguments = "--preset tiny,mini,small,medium,base --batch-sizes 1,8,64 --seq-lengths 32,128,512 \
                     --mode forward --rounds 1 --seconds 0.5 --warmup-seconds 1 --min-samples 3 --max-gflop 400";
    vec![part(
        "scaling",
        "Scaling of the forward pass",
        &devices,
        arguments,
    )]
}

/// The command line of a table without the options that name files of this machine.
fn without_files(table: &str, json: &Path, html: &Path) -> String {
    let files = [("--json", json), ("--report", html)];
    files
        .into_iter()
        .fold(table.to_owned(), |table, (option, path)| {
            table.replace(&format!(" {option} {}", shell::quote(path.as_os_str())), "")
        })
}

/// The command line of a table with the name of the checkpoint in place of its directory.
fn with_model_name(table: &str, checkpoint: &Path) -> String {
    let path = shell::quote(checkpoint.as_os_str());
    table.replace(&format!("--model {path}"), "--model all-MiniLM-L6-v2/")
}

fn absolute(path: &Path) -> PathBuf {
    std::path::absolute(path).unwrap_or_else(|_| path.to_owned())
}

/// `page` with `text` between the comments that begin and end `section`.
fn replaced(page: &str, section: &str, text: &str) -> Result<String> {
    let (begin, end) = (
        format!("<!-- {section} -->\n"),
        format!("<!-- end of {section} -->"),
    );
    let (before, rest) = page
        .split_once(&begin)
        .with_context(|| format!("docs/benchmarks.md has no line `{}`", begin.trim_end()))?;
    let (_, after) = rest
        .split_once(&end)
        .with_context(|| format!("docs/benchmarks.md has no line `{end}`"))?;
    Ok(format!("{before}{begin}{text}\n{end}{after}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn options(devices: &[&str], checkpoint: Option<&str>) -> Options {
        Options {
            devices: devices.iter().map(|&label| label.to_owned()).collect(),
            peers: Some(vec!["candle".to_owned()]),
            checkpoint: checkpoint.map(PathBuf::from),
            scaling: false,
            zoo: false,
            families: vec!["all".to_owned()],
            preset: "base".to_owned(),
            rounds: 3,
            texts: 4096,
            program: None,
            dry_run: true,
            libtorch: parity::LibTorch::default(),
        }
    }

    #[test]
    fn rasterisers_get_a_small_part_of_their_own() {
        let parts = standard(&options(&["flex", "libtorch", "wgpu:cpu"], Some("minilm")));
        let names: Vec<_> = parts.iter().map(|part| part.name).collect();
        assert_eq!(names, ["forward", "train", "embed", "software"]);
        assert_eq!(
            parts[0].arguments[..3],
            ["bench", "--devices", "flex,libtorch"]
        );
        assert_eq!(parts[3].arguments[2], "wgpu:cpu,flex");
        assert!(parts[0].arguments.contains(&"candle".to_owned()));
        assert!(!parts[3].arguments.contains(&"candle".to_owned()));
        assert!(is_gpu("cuda:0") && !is_gpu("libtorch") && !is_gpu("vulkan:cpu"));
        assert!(scaling(&options(&["wgpu:cpu"], None)).is_empty());
    }

    #[test]
    fn the_zoo_is_measured_family_by_family_beside_its_peers() {
        let mut options = options(&[], None);
        (options.zoo, options.peers) = (true, None);
        let parts = zoo(&options);
        let names: Vec<_> = parts.iter().map(|part| part.name).collect();
        assert_eq!(names, ["zoo-forward", "zoo-long", "zoo-embed", "zoo-train"]);
        for part in &parts {
            let line = part.arguments.join(" ");
            assert!(line.starts_with("bench --devices flex,libtorch --family all --preset base "));
            assert!(line.ends_with("--peers transformers,onnxruntime"), "{line}");
        }
        assert!(shell::root().join(SHORT_TEXTS).is_file());
        options.peers = Some(Vec::new());
        assert!(!zoo(&options)[0].arguments.contains(&"--peers".to_owned()));
        options.devices = vec!["wgpu:cpu".to_owned()];
        assert!(zoo(&options).is_empty());
    }

    #[test]
    fn a_section_is_replaced_and_the_rest_stays() {
        let page = "before\n<!-- standard -->\nold\n<!-- end of standard -->\nafter\n";
        let new = replaced(page, "standard", "new").unwrap();
        assert_eq!(
            new,
            "before\n<!-- standard -->\nnew\n<!-- end of standard -->\nafter\n"
        );
        assert!(replaced(page, "scaling", "new").is_err());
    }

    #[test]
    fn paths_of_this_machine_are_left_out() {
        let table = "`bert bench --mode train --json /x/a.json --report '/x y/a.html'`\n";
        let cleaned = without_files(table, Path::new("/x/a.json"), Path::new("/x y/a.html"));
        assert_eq!(cleaned, "`bert bench --mode train`\n");
        let named = with_model_name("`bert bench --model '/x y/m'`", Path::new("/x y/m"));
        assert_eq!(named, "`bert bench --model all-MiniLM-L6-v2/`");
    }

    #[test]
    fn the_page_has_every_section() {
        let page = fs::read_to_string(shell::root().join("docs/benchmarks.md")).unwrap();
        for section in ["standard", "zoo", "scaling"] {
            assert!(replaced(&page, section, "new").is_ok(), "{section}");
        }
    }
}
