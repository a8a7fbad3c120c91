"""Static pretraining instances in plain Python, to measure `bert pretrain prepare` against.

The algorithm is that of google-research/bert (create_pretraining_data.py), in the manner of the original:
token strings in lists, one `random.Random`, everything in memory, one core. TensorFlow is left out; instances
are written as padded 32-bit integers instead, which is less work than TFRecord examples.

Tokenizing is done first, with the `tokenizers` library, and is not timed.
"""

import argparse
import json
import random
import struct
import sys
import time

from tokenizers import BertWordPieceTokenizer

FRAME = ("[CLS]", "[SEP]")


def read_documents(paths, tokenizer):
    """Documents as lists of sentences as lists of tokens; a blank line ends a document."""
    texts = [[]]
    for path in paths:
        with open(path, encoding="utf-8") as lines:
            for line in lines:
                line = line.strip()
                if line:
                    texts[-1].append(line)
                elif texts[-1]:
                    texts.append([])
        texts.append([])
    documents = []
    for text in filter(None, texts):
        encodings = tokenizer.encode_batch(text, add_special_tokens=False)
        sentences = [encoding.tokens for encoding in encodings if encoding.tokens]
        if sentences:
            documents.append(sentences)
    return documents


def truncate(first, second, budget, rng):
    """Pops from the front or the back of the longer segment until both fit."""
    while len(first) + len(second) > budget:
        longer = first if len(first) > len(second) else second
        if rng.random() < 0.5:
            del longer[0]
        else:
            longer.pop()


def random_segment(documents, index, wanted, rng):
    """Sentences from a random place of another document, ten attempts to find one."""
    for _ in range(10):
        other = rng.randint(0, len(documents) - 1)
        if other != index:
            break
    document = documents[other]
    segment = []
    for sentence in document[rng.randint(0, len(document) - 1) :]:
        segment.extend(sentence)
        if len(segment) >= wanted:
            break
    return segment


def pairs_of(documents, index, args, rng):
    """Yields (A, B, B is random) for one document."""
    document = documents[index]
    budget = args.max_seq_length - 3
    target = budget
    if rng.random() < args.short_seq_prob:
        target = rng.randint(2, budget)
    chunk, length, position = [], 0, 0
    while position < len(document):
        chunk.append(document[position])
        length += len(document[position])
        if position == len(document) - 1 or length >= target:
            a_end = rng.randint(1, len(chunk) - 1) if len(chunk) >= 2 else 1
            first = []
            for sentence in chunk[:a_end]:
                first.extend(sentence)
            is_random = len(chunk) == 1 or rng.random() < 0.5
            if is_random:
                second = random_segment(documents, index, target - len(first), rng)
                position -= len(chunk) - a_end
            else:
                second = []
                for sentence in chunk[a_end:]:
                    second.extend(sentence)
            truncate(first, second, budget, rng)
            if first and second:
                yield first, second, is_random
            chunk, length = [], 0
        position += 1


def mask(tokens, words, args, rng):
    """The sequence with tokens hidden, their positions and what they were."""
    candidates = []
    for position, token in enumerate(tokens):
        if token in FRAME:
            continue
        if args.whole_word and candidates and token.startswith("##"):
            candidates[-1].append(position)
        else:
            candidates.append([position])
    rng.shuffle(candidates)
    wanted = min(args.max_predictions, max(1, int(round(len(tokens) * args.masked_lm_prob))))
    output = list(tokens)
    picked = []
    for candidate in candidates:
        if len(picked) >= wanted:
            break
        if len(picked) + len(candidate) > wanted:
            continue
        for position in candidate:
            if rng.random() < 0.8:
                output[position] = "[MASK]"
            elif rng.random() >= 0.5:
                output[position] = words[rng.randint(0, len(words) - 1)]
            picked.append((position, tokens[position]))
    picked.sort()
    return output, [position for position, _ in picked], [label for _, label in picked]


def create_instances(documents, words, args, rng):
    """All instances, shuffled."""
    instances = []
    for _ in range(args.dupe_factor):
        for index in range(len(documents)):
            for first, second, is_random in pairs_of(documents, index, args, rng):
                tokens = ["[CLS]", *first, "[SEP]", *second, "[SEP]"]
                types = [0] * (len(first) + 2) + [1] * (len(second) + 1)
                instances.append((*mask(tokens, words, args, rng), types, is_random))
    rng.shuffle(instances)
    return instances


def write_instances(instances, vocab, args):
    """Every instance padded to the full length, as 32-bit integers."""
    length, most = args.max_seq_length, args.max_predictions
    layout = struct.Struct(f"<{3 * length + 3 * most + 1}i")
    with open(args.output, "wb") as file:
        for tokens, positions, labels, types, is_random in instances:
            padding = [0] * (length - len(tokens))
            rest = [0] * (most - len(positions))
            ids = [vocab[token] for token in tokens] + padding
            attended = [1] * len(tokens) + padding
            label_ids = [vocab[label] for label in labels] + rest
            weights = [1] * len(labels) + rest
            row = ids + attended + types + padding + positions + rest + label_ids + weights
            file.write(layout.pack(*row, int(is_random)))


def statistics(instances):
    """Shares that must agree with those of any other implementation."""
    tokens = sum(len(instance[0]) for instance in instances)
    hidden = [
        (instance[0][position], label)
        for instance in instances
        for position, label in zip(instance[1], instance[2])
    ]
    return {
        "mean_length": tokens / len(instances),
        "predicted_share": len(hidden) / tokens,
        "mask_share": sum(token == "[MASK]" for token, _ in hidden) / len(hidden),
        "unchanged_share": sum(token == label for token, label in hidden) / len(hidden),
        "random_next_share": sum(instance[4] for instance in instances) / len(instances),
    }


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n", 1)[0])
    parser.add_argument("--input", nargs="+", required=True, help="one sentence per line, blank line between documents")
    parser.add_argument("--vocab", required=True, help="vocab.txt")
    parser.add_argument("--output", required=True, help="file to write")
    parser.add_argument("--cased", action="store_true", help="keep upper case and accents")
    parser.add_argument("--max-seq-length", type=int, default=128)
    parser.add_argument("--max-predictions", type=int, default=20)
    parser.add_argument("--dupe-factor", type=int, default=10)
    parser.add_argument("--short-seq-prob", type=float, default=0.1)
    parser.add_argument("--masked-lm-prob", type=float, default=0.15)
    parser.add_argument("--whole-word", action="store_true")
    parser.add_argument("--seed", type=int, default=12345)
    args = parser.parse_args()

    tokenizer = BertWordPieceTokenizer(args.vocab, lowercase=not args.cased)
    documents = read_documents(args.input, tokenizer)
    vocab = tokenizer.get_vocab()
    words = list(vocab)
    rng = random.Random(args.seed)
    rng.shuffle(documents)
    print(f"{len(documents)} documents, {sum(map(len, documents))} sentences", file=sys.stderr)

    start = time.process_time(), time.perf_counter()
    instances = create_instances(documents, words, args, rng)
    made = time.process_time(), time.perf_counter()
    write_instances(instances, vocab, args)
    written = time.process_time(), time.perf_counter()
    count = len(instances)
    print(
        json.dumps(
            {
                "instances": count,
                "create_seconds": made[1] - start[1],
                "write_seconds": written[1] - made[1],
                "processor_seconds": written[0] - start[0],
                "create_microseconds_per_instance": 1e6 * (made[0] - start[0]) / count,
                "microseconds_per_instance": 1e6 * (written[0] - start[0]) / count,
                **statistics(instances),
            },
            indent=2,
        )
    )


if __name__ == "__main__":
    main()
