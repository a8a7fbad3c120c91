"""Computes with transformers what `bert pretrain eval --export FILE` computed: the same model, the same batches.

    bert pretrain eval --model DIR --corpus TEXT --export batches.safetensors --json
    python transformers_eval.py DIR batches.safetensors
"""

import json
import sys

import torch
from safetensors.torch import load_file
from transformers import BertForPreTraining


def main():
    directory, file = sys.argv[1:]
    model, info = BertForPreTraining.from_pretrained(directory, output_loading_info=True)
    model.eval()
    tensors = load_file(file)
    sums = dict(mlm=0.0, correct=0, predictions=0, nsp=0.0, nsp_correct=0, rows=0)
    cross_entropy = torch.nn.functional.cross_entropy
    with torch.no_grad():
        for number in range(len(tensors) // 6):
            batch = {name: tensors[f"{number}.{name}"] for name in
                     ("input_ids", "token_type_ids", "attention_mask", "positions", "labels", "next_sentence")}
            output = model(**{k: batch[k] for k in ("input_ids", "token_type_ids", "attention_mask")})
            logits = output.prediction_logits.flatten(0, 1)[batch["positions"]]
            sums["mlm"] += cross_entropy(logits, batch["labels"], reduction="sum").item()
            sums["correct"] += (logits.argmax(-1) == batch["labels"]).sum().item()
            sums["predictions"] += len(batch["labels"])
            if len(batch["next_sentence"]):
                logits = output.seq_relationship_logits
                sums["nsp"] += cross_entropy(logits, batch["next_sentence"], reduction="sum").item()
                sums["nsp_correct"] += (logits.argmax(-1) == batch["next_sentence"]).sum().item()
                sums["rows"] += len(batch["next_sentence"])
    rows = max(sums["rows"], 1)
    print(json.dumps({
        "missing_keys": sorted(info["missing_keys"]),
        "unexpected_keys": sorted(info["unexpected_keys"]),
        "mlm_loss": sums["mlm"] / sums["predictions"],
        "mlm_accuracy": sums["correct"] / sums["predictions"],
        "nsp_loss": sums["nsp"] / rows,
        "nsp_accuracy": sums["nsp_correct"] / rows,
        "predictions": sums["predictions"],
    }))


if __name__ == "__main__":
    main()
