"""What sentence-transformers makes of a real trained checkpoint, all-MiniLM-L6-v2."""

import csv
import json
import logging
from pathlib import Path

import torch
from scipy.stats import spearmanr
from sentence_transformers import SentenceTransformer
from transformers.utils.logging import disable_progress_bar

from common import write_text

logging.getLogger("sentence_transformers").setLevel(logging.ERROR)
disable_progress_bar()
torch.set_num_threads(1)

LONG = (
    "When the ferry finally left the harbour, an hour and a half late and with half of its lamps unlit, the passengers "
    "had already told one another everything worth telling: the teacher had described her school on the hill, with its "
    "leaking roof and its one good piano; the two brothers had argued about the price of barley, then about the price of "
    "land, and then, more quietly, about their father; the man with the telescope had shown the children how to find the "
    "moons of Jupiter, although the sky was covered with clouds and he had to draw them on the back of a menu; and the "
    "old woman in the corner, who had not said a single word since the morning, suddenly began to sing in a language "
    "that nobody on board could name. "
)

SENTENCES = [
    "A man is playing a guitar on the street.",
    "Someone performs music outdoors with a string instrument.",
    "She deposited the cheque at the bank.",
    "They had a picnic on the bank of the river.",
    "The bank raised its interest rates again this quarter.",
    "Der Zug nach M\u00fcnchen hat zwanzig Minuten Versp\u00e4tung.",
    "What is the boiling point of water at an altitude of 3,000 metres?",
    "Water boils at about 90 \u00b0C three kilometres above sea level.",
    "No.",
    "ok",
    "The stock price of the company fell by 12.5% after the announcement \u2014 its worst day since 2009!",
    "na\u00efve caf\u00e9 d\u00e9j\u00e0 vu \u6211\u7231\u5317\u4eac \U0001f355\U0001f355",
    "Photosynthesis converts carbon dioxide and water into glucose and oxygen, using the energy of sunlight.",
    "def add(a, b):\n    return a + b",
    # Longer than the 128 tokens that the checkpoint's own tokenizer.json cuts at, and shorter than 256.
    LONG,
    # Longer than max_seq_length: cut.
    LONG * 2,
]


def sts_test(path):
    """Sentence pairs and scores. Tab-separated without quoting; some rows have two more columns."""
    with open(path, encoding="utf-8", newline="\n") as file:
        rows = list(csv.reader(file, delimiter="\t", quoting=csv.QUOTE_NONE))
    return [row[5] for row in rows], [row[6] for row in rows], [float(row[4]) for row in rows]


def encode(model, sentences):
    return model.encode(
        sentences, batch_size=32, convert_to_tensor=True, normalize_embeddings=True, show_progress_bar=False
    )


def write(out, checkpoint, data):
    """minilm/reference.json."""
    first, second, scores = sts_test(Path(data) / "stsbenchmark" / "sts-test.csv")
    model = SentenceTransformer(str(checkpoint), device="cpu", model_kwargs={"attn_implementation": "eager"})
    single = encode(model, SENTENCES)
    cosine = (encode(model, first) * encode(model, second)).sum(1)
    spearman32 = spearmanr(cosine.numpy(), scores).statistic

    model = model.double()
    assert next(model.parameters()).dtype == torch.float64
    # One at a time, so that no padding enters.
    vectors = torch.cat([encode(model, [sentence]) for sentence in SENTENCES])
    assert vectors.dtype == torch.float64
    assert (vectors - single).abs().max() < 1e-6, (vectors - single).abs().max()
    cosine = (encode(model, first) * encode(model, second)).sum(1)
    spearman64 = spearmanr(cosine.numpy(), scores).statistic

    records = []
    for sentence, vector in zip(SENTENCES, vectors):
        ids = model.preprocess([sentence])["input_ids"][0].tolist()
        numbers = ",".join(f"{value:.9f}" for value in vector.tolist())
        head = f'"text":{json.dumps(sentence)},"tokens":{len(ids)},"ids":{json.dumps(ids, separators=(",", ":"))}'
        records.append(f"    {{{head},\"embedding\":[{numbers}]}}")
    about = (
        "sentence-transformers over all-MiniLM-L6-v2, eager attention on the CPU: mean of the token vectors with [CLS] "
        "and [SEP], divided by its L2 norm; embeddings from float64, one sentence at a time, rounded to nine decimals; "
        "stsbenchmark: Spearman's rank correlation of cosine and score over the English test split, batches of 32"
    )
    head = {
        "about": about,
        "pooling": "mean",
        "normalize": True,
        "max_seq_length": model.max_seq_length,
        "hidden_size": vectors.shape[1],
        "stsbenchmark": {
            "file": "stsbenchmark/sts-test.csv",
            "pairs": len(scores),
            "spearman_float32": round(float(spearman32), 9),
            "spearman_float64": round(float(spearman64), 9),
            "cosine_float64_first_five": [round(value, 9) for value in cosine[:5].tolist()],
        },
    }
    lines = [f"  {json.dumps(key)}: {json.dumps(value)}" for key, value in head.items()]
    lines.append('  "sentences": [\n' + ",\n".join(records) + "\n  ]")
    write_text(Path(out) / "minilm" / "reference.json", "{\n" + ",\n".join(lines) + "\n}\n")
