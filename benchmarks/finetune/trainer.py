"""Fine-tunes a checkpoint with transformers' Trainer, as the peer of `bert finetune`.

    python trainer.py --task classify --model DIR --train FILE --out DIR --epochs 3 --batch-size 32 --lr 3e-5 --seed 1

The files are those that compare.py writes: JSON lines {"text", "pair", "label"} for texts, CoNLL with a word and
an IOB2 tag a line for tokens, SQuAD's JSON for questions.
The model of the last step is saved; `bert evaluate` scores it as it scores its own.
Prints the seconds of training and the mean loss of its steps as JSON.
"""

import argparse
import json
import time

import torch
from transformers import (
    AutoTokenizer,
    BertForQuestionAnswering,
    BertForSequenceClassification,
    BertForTokenClassification,
    DataCollatorForTokenClassification,
    DataCollatorWithPadding,
    Trainer,
    TrainingArguments,
)

# Tokens from the start of a window to the next, as BERT's run_squad.py and `bert` have it; the `stride` of
# transformers' tokenizers is what two windows share.
DOC_STRIDE = 128


class Rows(torch.utils.data.Dataset):
    def __init__(self, rows):
        self.rows = rows

    def __len__(self):
        return len(self.rows)

    def __getitem__(self, index):
        return self.rows[index]


def texts(args, tokenizer):
    with open(args.train, encoding="utf-8") as file:
        rows = [json.loads(line) for line in file]
    regression = args.task == "regress"
    labels = [] if regression else sorted({row["label"] for row in rows})
    encoded = []
    for row in rows:
        item = tokenizer(row["text"], row.get("pair"), truncation=True, max_length=args.max_length)
        item["labels"] = float(row["label"]) if regression else labels.index(row["label"])
        encoded.append(dict(item))
    options = dict(num_labels=1, problem_type="regression") if regression else names(labels)
    model = BertForSequenceClassification.from_pretrained(args.model, **options)
    return model, encoded, DataCollatorWithPadding(tokenizer)


def tokens(args, tokenizer):
    sentences = [[]]
    with open(args.train, encoding="utf-8") as file:
        for line in file:
            if line.strip():
                sentences[-1].append(line.split())
            elif sentences[-1]:
                sentences.append([])
    sentences = [sentence for sentence in sentences if sentence]
    labels = sorted({tag for sentence in sentences for _, tag in sentence})
    encoded = []
    for sentence in sentences:
        item = tokenizer([word for word, _ in sentence], is_split_into_words=True, truncation=True,
                         max_length=args.max_length)
        previous, targets = None, []
        for word in item.word_ids():
            first = word is not None and word != previous
            targets.append(labels.index(sentence[word][1]) if first else -100)
            previous = word
        encoded.append(dict(item) | {"labels": targets})
    model = BertForTokenClassification.from_pretrained(args.model, **names(labels))
    return model, encoded, DataCollatorForTokenClassification(tokenizer)


def questions(args, tokenizer):
    with open(args.train, encoding="utf-8") as file:
        data = json.load(file)["data"]
    encoded = []
    for paragraph in (paragraph for article in data for paragraph in article["paragraphs"]):
        for question in paragraph["qas"]:
            asked = question["question"].strip()
            room = args.max_length - len(tokenizer(asked)["input_ids"]) - 1  # for the context, [SEP] left out
            windows = tokenizer(asked, paragraph["context"], truncation="only_second", max_length=args.max_length,
                                stride=max(room - DOC_STRIDE, 0), return_overflowing_tokens=True,
                                return_offsets_mapping=True)
            answer = question["answers"][0] if question["answers"] else None
            for number in range(len(windows["input_ids"])):
                item = {key: windows[key][number] for key in ("input_ids", "token_type_ids", "attention_mask")}
                begin, end = span(windows, number, answer)
                encoded.append(item | {"start_positions": begin, "end_positions": end})
    model = BertForQuestionAnswering.from_pretrained(args.model)
    return model, encoded, DataCollatorWithPadding(tokenizer)


def span(windows, number, answer):
    """The tokens of the answer in a window, both 0 (at [CLS]) if it is not wholly inside, as run_qa.py has it."""
    if answer is None:
        return 0, 0
    start, stop = answer["answer_start"], answer["answer_start"] + len(answer["text"])
    offsets, parts = windows["offset_mapping"][number], windows.sequence_ids(number)
    inside = [index for index, part in enumerate(parts) if part == 1]
    first, last = inside[0], inside[-1]
    if offsets[first][0] > start or offsets[last][1] < stop:
        return 0, 0
    begin = max(index for index in inside if offsets[index][0] <= start)
    end = min(index for index in inside if offsets[index][1] >= stop)
    return begin, end


def names(labels):
    return dict(num_labels=len(labels), id2label=dict(enumerate(labels)),
                label2id={label: number for number, label in enumerate(labels)})


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--task", choices=["classify", "pair", "regress", "tokens", "qa"], required=True)
    parser.add_argument("--model", required=True)
    parser.add_argument("--train", required=True)
    parser.add_argument("--out", required=True)
    parser.add_argument("--epochs", type=float, default=3.0)
    parser.add_argument("--batch-size", type=int, default=32)
    parser.add_argument("--lr", type=float, default=3e-5)
    parser.add_argument("--warmup-share", type=float, default=0.1)
    parser.add_argument("--max-length", type=int, default=128)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--threads", type=int, default=0)
    args = parser.parse_args()
    if args.threads:
        torch.set_num_threads(args.threads)

    torch.manual_seed(args.seed)  # the head's fresh weights; the Trainer seeds only what comes after it
    tokenizer = AutoTokenizer.from_pretrained(args.model)
    build = dict(tokens=tokens, qa=questions).get(args.task, texts)
    model, rows, collator = build(args, tokenizer)
    steps = -(-len(rows) // args.batch_size) * args.epochs
    options = TrainingArguments(
        output_dir=args.out, num_train_epochs=args.epochs, per_device_train_batch_size=args.batch_size,
        learning_rate=args.lr, warmup_steps=round(steps * args.warmup_share), weight_decay=0.01, max_grad_norm=1.0,
        lr_scheduler_type="linear", optim="adamw_torch", seed=args.seed, save_strategy="no", eval_strategy="no",
        logging_strategy="no", report_to="none", disable_tqdm=True, use_cpu=True,
    )
    trainer = Trainer(model=model, args=options, train_dataset=Rows(rows), data_collator=collator)
    begun = time.perf_counter()
    loss = trainer.train().training_loss
    seconds = time.perf_counter() - begun
    model.save_pretrained(args.out)
    tokenizer.save_pretrained(args.out)
    print(json.dumps({"seconds": seconds, "rows": len(rows), "steps": trainer.state.global_step, "loss": loss}))


if __name__ == "__main__":
    main()
