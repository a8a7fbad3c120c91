#!/usr/bin/env python3
"""Writes the golden files under bert-core/fixtures. Called by `cargo xtask fixtures`; see the README there."""

import argparse
import os
import sys
from pathlib import Path

os.environ.setdefault("HF_HUB_OFFLINE", "1")
os.environ.setdefault("TOKENIZERS_PARALLELISM", "false")
sys.dont_write_bytecode = True

PARTS = ["tokenizer", "tokenizer-config", "tokenizer-kinds", "models", "formats", "heads", "families", "curves", "sentences", "minilm"]


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--out", type=Path, required=True, help="the fixtures directory")
    parser.add_argument("--data", type=Path, help="unpacked data sets: needs vocab/ and stsbenchmark/ in it")
    parser.add_argument("--checkpoint", type=Path, help="all-MiniLM-L6-v2 as a directory")
    parser.add_argument("--only", action="append", choices=PARTS)
    parser.add_argument("--family", action="append", help="only this family (a file in families/)")
    arguments = parser.parse_args()
    wanted = arguments.only or (["families"] if arguments.family else PARTS)
    out = arguments.out

    if "tokenizer" in wanted:
        import tokenizer_fixtures

        print("tokenizer/bundled.json", flush=True)
        tokenizer_fixtures.write_bundled(out / "tokenizer")
        if arguments.data:
            print("tokenizer/reference.json", flush=True)
            tokenizer_fixtures.write_real(out / "tokenizer", arguments.data / "vocab")
        else:
            print("tokenizer/reference.json: left as it is (needs --data)", flush=True)
    if "tokenizer-config" in wanted:
        import tokenizer_config_fixtures

        print("tokenizer-config/reference.json", flush=True)
        tokenizer_config_fixtures.write(out / "tokenizer-config")
    if "tokenizer-kinds" in wanted:
        import tokenizer_kinds_fixtures

        print("tokenizer-kinds/reference.json", flush=True)
        tokenizer_kinds_fixtures.write(out / "tokenizer-kinds")
    if "models" in wanted:
        import model_fixtures

        print("models", flush=True)
        model_fixtures.write_all(out)
    if "formats" in wanted:
        import format_fixtures

        print("formats", flush=True)
        format_fixtures.write_all(out)
    if "heads" in wanted:
        import head_fixtures

        print("heads", flush=True)
        head_fixtures.write_all(out)
    if "families" in wanted:
        import family_fixtures

        family_fixtures.write(out, arguments.family)
    if "curves" in wanted:
        import curve_fixtures

        print("pretraining-curves", flush=True)
        curve_fixtures.write(out)
    if "sentences" in wanted:
        import sentence_fixtures

        print("sentence-transformers", flush=True)
        sentence_fixtures.write(out)
    if "minilm" in wanted:
        if arguments.data and arguments.checkpoint:
            import minilm_fixtures

            print("minilm", flush=True)
            minilm_fixtures.write(out, arguments.checkpoint, arguments.data)
        else:
            print("minilm: left as it is (needs --data and --checkpoint)", flush=True)


if __name__ == "__main__":
    main()
