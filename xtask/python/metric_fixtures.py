#!/usr/bin/env python3
"""Writes the golden files under bert-heads/fixtures/metrics. Called by `cargo xtask fixtures`; see the README there.

The numbers are those of scikit-learn, SciPy and seqeval. The two scorers of SQuAD are not on PyPI; they are written out
below, function by function as evaluate-v1.1.py and evaluate-v2.0.py have them.
"""

import argparse
import collections
import itertools
import json
import math
import re
import string
import sys
import warnings
from pathlib import Path

sys.dont_write_bytecode = True

import numpy as np
from scipy.stats import pearsonr, spearmanr
from seqeval.metrics import accuracy_score as tag_accuracy
from seqeval.metrics.sequence_labeling import get_entities
from seqeval.metrics.sequence_labeling import precision_recall_fscore_support as lenient_scores
from seqeval.metrics.v1 import precision_recall_fscore_support as strict_scores
from seqeval.scheme import IOB1, IOB2, IOBES, IOE1, IOE2, Tokens
from sklearn.metrics import (
    accuracy_score,
    confusion_matrix,
    f1_score,
    matthews_corrcoef,
    mean_squared_error,
    precision_recall_fscore_support,
)

from common import Seeded, write_text

warnings.simplefilter("ignore")


def numbers(values):
    """Plain floats; None where the reference has no number."""
    return [None if value is None or not math.isfinite(value) else float(value) for value in values]


def averages(score):
    """Precision, recall and F1 by micro, macro and weighted average."""
    return {name: numbers(score(name)[:3]) for name in ("micro", "macro", "weighted")}


# ---- one class per example


def class_case(classes, gold, predicted):
    def score(average):
        return precision_recall_fscore_support(gold, predicted, average=average, zero_division=0)

    case = {"classes": classes, "gold": gold, "predicted": predicted, "accuracy": accuracy_score(gold, predicted)}
    case.update(averages(score))
    case["matthews"] = float(matthews_corrcoef(gold, predicted))
    each = precision_recall_fscore_support(gold, predicted, labels=range(classes), average=None, zero_division=0)
    case["each"] = [numbers(row) for row in zip(*each)]
    case["confusion"] = confusion_matrix(gold, predicted, labels=range(classes)).tolist()
    if classes == 2:
        case["binary_f1"] = float(f1_score(gold, predicted, pos_label=1, zero_division=0))
    return case


def class_cases():
    seeded = Seeded("metrics.classes")
    cases = [
        class_case(2, [0], [0]),
        class_case(2, [1], [0]),
        class_case(2, [0, 0, 0], [0, 0, 0]),
        class_case(2, [1, 1, 1], [0, 0, 0]),
        class_case(2, [0, 1, 0, 1], [1, 0, 1, 0]),
        class_case(2, [0, 1, 0, 1], [1, 1, 1, 1]),
        class_case(2, [1, 1, 1, 1], [0, 1, 0, 1]),
        class_case(5, [4, 4, 2], [2, 2, 4]),
        class_case(7, [0, 1, 2, 3], [3, 3, 3, 3]),
    ]
    for index in range(52):
        classes = [2, 2, 3, 5, 11][index % 5]
        count = int(seeded.integers(1, 32, (1,))[0])
        gold = seeded.integers(0, classes, (count,))
        predicted = seeded.integers(0, classes, (count,))
        # Mostly right, as models are; in some cases a class never occurs or is never predicted.
        right = seeded.integers(0, 10, (count,)) < 7
        predicted = np.where(right, gold, predicted)
        if index % 7 == 3:
            gold = np.where(gold == 1, 0, gold)
        if index % 7 == 5:
            predicted = np.where(predicted == 1, 0, predicted)
        cases.append(class_case(classes, gold.tolist(), predicted.tolist()))
    return cases


# ---- any number of labels per example


def label_cases():
    seeded = Seeded("metrics.labels")
    cases = []
    for index in range(30):
        labels, count = int(seeded.integers(2, 7, (1,))[0]), int(seeded.integers(1, 13, (1,))[0])
        gold = seeded.integers(0, 2, (count, labels))
        predicted = np.where(seeded.integers(0, 10, (count, labels)) < 6, gold, 1 - gold)
        if index % 5 == 1:
            gold[:, 0] = 0
        if index % 5 == 2:
            predicted[:, -1] = 0
        if index % 5 == 3:
            gold[:, 1] = predicted[:, 1] = 0
        if index == 29:
            gold[:], predicted[:] = 0, 0

        def score(average):
            return precision_recall_fscore_support(gold, predicted, average=average, zero_division=0)

        rows = [["".join(map(str, row)) for row in table] for table in (gold.tolist(), predicted.tolist())]
        case = {"gold": rows[0], "predicted": rows[1], **averages(score)}
        case["subset_accuracy"] = accuracy_score(gold, predicted)
        cases.append(case)
    return cases


# ---- a number per example


def number_case(gold, predicted):
    gold, predicted = np.asarray(gold, dtype=np.float64), np.asarray(predicted, dtype=np.float64)
    scores = numbers([pearsonr(gold, predicted).statistic, spearmanr(gold, predicted).statistic])
    error = numbers([mean_squared_error(gold, predicted)])
    names = ("pearson", "spearman", "mse")
    return {"gold": gold.tolist(), "predicted": predicted.tolist(), **dict(zip(names, scores + error))}


def number_cases():
    seeded = Seeded("metrics.numbers")
    cases = [
        number_case([1, 2], [7, 3]),
        number_case([1, 2], [3, 7]),
        number_case([1, 2], [3, 3]),
        number_case([0.1] * 7, [1, 2, 3, 4, 5, 6, 7]),
        number_case([1, 2, 3, 4, 5], [0.3] * 5),
        number_case([1, 2, 3, 4, 5], [2, 4, 6, 8, 10]),
        number_case([1, 2, 3, 4, 5], [0, -1, -2, -3, -4]),
        number_case([0.0, -0.0, 1.0, 2.0], [3.0, 1.0, 2.0, 2.0]),
        number_case([-5e90, 5e90, 3e80, -3e80], [-1.0, 1.0, 0.5, -0.25]),
        number_case([1e-90, 3e-90, 2e-90, 7e-90], [1.0, 2.0, 3.0, 4.0]),
    ]
    for index in range(35):
        count = int(seeded.integers(3, 23, (1,))[0])
        gold = seeded.normal((count,), mean=2.5, std=1.5)
        predicted = gold + seeded.normal((count,), std=[0.1, 1.0, 5.0][index % 3])
        # Ties: scores of STS-B are multiples of 0.2, and coarse predictions.
        if index % 2:
            gold = np.round(gold * 5) / 5
        if index % 4 == 3:
            predicted = np.round(predicted)
        gold, predicted = np.round(gold, 4), np.round(predicted, 4)
        cases.append(number_case(gold, predicted))
    return cases


# ---- tags per word

# Letters of other schemes -> the ones that seqeval knows.
SAME_LETTERS = str.maketrans("MLUW", "IESS")
SCHEMES = {"iob1": IOB1, "iob2": IOB2, "ioe1": IOE1, "ioe2": IOE2, "iobes": IOBES}
SCHEMES.update({"bilou": IOBES, "bmes": IOBES, "bmewo": IOBES})
LETTERS = {"iob1": "OBI", "iob2": "OBI", "ioe1": "OIE", "ioe2": "OIE", "iobes": "OBIES"}
LETTERS.update({"bilou": "OBILU", "bmes": "OBMES", "bmewo": "OBMEW"})


def translate(tag):
    return tag[0].translate(SAME_LETTERS) + tag[1:]


def random_tags(seeded, letters, labels, count):
    tags = []
    for letter, label in zip(seeded.integers(0, len(letters), (count,)), seeded.integers(0, len(labels), (count,))):
        letter, label = letters[letter], labels[label]
        tags.append(letter if letter == "O" or not label else f"{letter}-{label}")
    return tags


def well_formed_tags(seeded, scheme, labels, count):
    """Tags as the scheme wants them, entities of one to four words."""
    single, last, inside = {"bilou": "ULI", "bmes": "SEM", "bmewo": "WEM"}.get(scheme, "SEI")
    tags, previous = [], None
    while len(tags) < count:
        length = min(int(seeded.integers(0, 5, (1,))[0]), count - len(tags))
        label = labels[int(seeded.integers(0, len(labels), (1,))[0])]
        if length == 0:
            tags.append("O")
            previous = None
            continue
        if scheme in ("iob1", "iob2"):
            first = "B" if scheme == "iob2" or previous == label else "I"
            letters = [first] + ["I"] * (length - 1)
        elif scheme in ("ioe1", "ioe2"):
            if scheme == "ioe1" and previous == label:
                tags[-1] = f"E-{label}"
            letters = ["I"] * (length - 1) + ["I" if scheme == "ioe1" else "E"]
        else:
            letters = [single] if length == 1 else ["B"] + [inside] * (length - 2) + [last]
        tags += [letter + ("-" + label if label else "") for letter in letters]
        previous = label
    return tags


def disturbed(seeded, tags, letters, labels):
    """As a model would have it: most tags right, some of another letter or label."""
    noise = random_tags(seeded, letters, labels, len(tags))
    keep = seeded.integers(0, 10, (len(tags),)) < 7
    return [tag if kept else other for tag, other, kept in zip(tags, noise, keep)]


def tag_case(reading, gold, predicted):
    plain_gold, plain_predicted = ([[translate(tag) for tag in row] for row in rows] for rows in (gold, predicted))
    if reading == "lenient":

        def score(average):
            return lenient_scores(plain_gold, plain_predicted, average=average, zero_division=0)

        def found(row):
            return [[label, start, end + 1] for label, start, end in get_entities(row)]
    else:

        def score(average):
            return strict_scores(
                plain_gold, plain_predicted, average=average, scheme=SCHEMES[reading], zero_division=0
            )

        def found(row):
            return [[e.tag, e.start, e.end] for e in Tokens(row, SCHEMES[reading], sent_id=0).entities]

    entities = [[found(row) for row in rows] for rows in (plain_gold, plain_predicted)]
    labels = sorted({entity[0] for rows in entities for row in rows for entity in row})
    case = {"reading": reading}
    for name, rows in (("gold", gold), ("predicted", predicted)):
        case[name] = [" ".join(row) for row in rows]
    case["entities"] = [
        [" ".join(f"{label}:{start}:{end}" for label, start, end in row) for row in rows] for rows in entities
    ]
    case["labels"] = {label: numbers(row) for label, row in zip(labels, zip(*score(None)))}
    # The mean of no labels is NaN for NumPy; here it is 0 like everything else without a denominator.
    case.update(averages(score) if labels else dict.fromkeys(("micro", "macro", "weighted"), [0.0, 0.0, 0.0]))
    case["accuracy"] = tag_accuracy(gold, predicted)
    return case


def tag_cases():
    seeded = Seeded("metrics.tags")
    by_hand = [
        ("O I-A O", "O B-A O"),
        ("B-A I-B I-B", "B-A I-A I-B"),
        ("E-A", "O"),
        ("E-A E-A", "E-A E-A"),
        ("S-A S-A E-A I-A", "S-A O E-A I-A"),
        ("O O O", "O O O"),
        ("O O O", "O B-A O"),
        ("B-A O O", "O O O"),
        ("B I E S O", "B I O S O"),
        ("B-A M-A E-A W-B", "B-A I-A L-A U-B"),
        ("B-a-b I-a-b O", "B-a-b I-a O"),
        ("B-\u5730 I-\u5730 O", "B-\u5730 I-\u540d O"),
    ]
    cases = [tag_case("lenient", [gold.split()], [predicted.split()]) for gold, predicted in by_hand]
    for index in range(60):
        letters = ["OBIES", "OBI", "OIE", "OBMES", "OBILU"][index % 5]
        labels = [["A"], ["A", "B"], ["A", "B", ""], ["LOC", "PER", "ORG"]][index % 4]
        counts = seeded.integers(1, 9, (1 + index % 3,)).tolist()
        gold = [random_tags(seeded, letters, labels, count) for count in counts]
        cases.append(tag_case("lenient", gold, [disturbed(seeded, row, letters, labels) for row in gold]))
    for scheme, letters in LETTERS.items():
        for index in range(18):
            labels = [["A"], ["A", "B"], ["A", "B", ""]][index % 3]
            counts = seeded.integers(1, 11, (1 + index % 2,)).tolist()
            if index % 3 < 2:
                gold = [well_formed_tags(seeded, scheme, labels, count) for count in counts]
            else:
                gold = [random_tags(seeded, letters, labels, count) for count in counts]
            predicted = [disturbed(seeded, row, letters, labels) for row in gold]
            cases.append(tag_case(scheme, gold, predicted))
            if index % 6 == 0:
                cases.append(tag_case("lenient", gold, predicted))
    # Every sentence of three tags of two labels: what the random ones may miss.
    for reading in ("lenient", "iob1", "iob2", "ioe1", "ioe2", "iobes"):
        letters = LETTERS["iobes" if reading == "lenient" else reading][1:]
        tags = ["O"] + [f"{letter}-{label}" for letter in letters for label in "AB"]
        gold = [list(sentence) for sentence in itertools.product(tags, repeat=3)]
        order = seeded.rng.permutation(len(gold))
        cases.append(tag_case(reading, gold, [gold[index] for index in order]))
    return cases


# ---- SQuAD: evaluate-v1.1.py and evaluate-v2.0.py


def normalize_answer(s):
    def remove_articles(text):
        return re.sub(r"\b(a|an|the)\b", " ", text)

    def white_space_fix(text):
        return " ".join(text.split())

    def remove_punc(text):
        exclude = set(string.punctuation)
        return "".join(ch for ch in text if ch not in exclude)

    return white_space_fix(remove_articles(remove_punc(s.lower())))


def v1_f1(prediction, ground_truth):
    prediction_tokens = normalize_answer(prediction).split()
    ground_truth_tokens = normalize_answer(ground_truth).split()
    num_same = sum((collections.Counter(prediction_tokens) & collections.Counter(ground_truth_tokens)).values())
    if num_same == 0:
        return 0
    precision = 1.0 * num_same / len(prediction_tokens)
    recall = 1.0 * num_same / len(ground_truth_tokens)
    return (2 * precision * recall) / (precision + recall)


def v1_evaluate(questions, predictions):
    f1 = exact_match = total = missing = 0
    for qid, answers in questions.items():
        total += 1
        if qid not in predictions:
            missing += 1
            continue
        prediction = predictions[qid]
        exact_match += max(normalize_answer(prediction) == normalize_answer(answer) for answer in answers)
        f1 += max(v1_f1(prediction, answer) for answer in answers)
    scores = {"exact_match": 100.0 * exact_match / total, "f1": 100.0 * f1 / total}
    return {**scores, "total": total, "missing": missing}


def v2_tokens(s):
    return normalize_answer(s).split() if s else []


def v2_f1(a_gold, a_pred):
    gold_toks, pred_toks = v2_tokens(a_gold), v2_tokens(a_pred)
    num_same = sum((collections.Counter(gold_toks) & collections.Counter(pred_toks)).values())
    if len(gold_toks) == 0 or len(pred_toks) == 0:
        return int(gold_toks == pred_toks)
    if num_same == 0:
        return 0
    precision = 1.0 * num_same / len(pred_toks)
    recall = 1.0 * num_same / len(gold_toks)
    return (2 * precision * recall) / (precision + recall)


def v2_raw_scores(questions, preds):
    exact_scores, f1_scores = {}, {}
    for qid, answers in questions.items():
        gold_answers = [answer for answer in answers if normalize_answer(answer)]
        if not gold_answers:
            gold_answers = [""]
        if qid not in preds:
            continue
        a_pred = preds[qid]
        exact_scores[qid] = max(int(normalize_answer(a) == normalize_answer(a_pred)) for a in gold_answers)
        f1_scores[qid] = max(v2_f1(a, a_pred) for a in gold_answers)
    return exact_scores, f1_scores


def v2_apply_threshold(scores, na_probs, qid_to_has_ans, threshold):
    return {
        qid: float(not qid_to_has_ans[qid]) if na_probs[qid] > threshold else score for qid, score in scores.items()
    }


def v2_eval_dict(exact_scores, f1_scores, qids):
    total = len(qids)
    exact, f1 = (sum(scores[qid] for qid in qids) for scores in (exact_scores, f1_scores))
    return {"exact": 100.0 * exact / total, "f1": 100.0 * f1 / total, "total": total}


def v2_best_threshold(preds, scores, na_probs, qid_to_has_ans):
    num_no_ans = sum(1 for qid in qid_to_has_ans if not qid_to_has_ans[qid])
    cur_score = best_score = num_no_ans
    best_thresh = 0.0
    for qid in sorted(na_probs, key=lambda qid: na_probs[qid]):
        if qid not in scores:
            continue
        if qid_to_has_ans[qid]:
            diff = scores[qid]
        elif preds[qid]:
            diff = -1
        else:
            diff = 0
        cur_score += diff
        if cur_score > best_score:
            best_score, best_thresh = cur_score, na_probs[qid]
    return 100.0 * best_score / len(scores), best_thresh


def v2_evaluate(questions, preds, given_na_probs, threshold):
    """The script's main. It fails with a KeyError on HasAns and NoAns if a prediction is missing: left out here."""
    na_probs = given_na_probs or {qid: 0.0 for qid in preds}
    qid_to_has_ans = {qid: bool(answers) for qid, answers in questions.items()}
    raw = v2_raw_scores(questions, preds)
    exact, f1 = (v2_apply_threshold(scores, na_probs, qid_to_has_ans, threshold) for scores in raw)
    out = v2_eval_dict(exact, f1, list(exact))
    for prefix, wanted in (("HasAns", True), ("NoAns", False)):
        qids = [qid for qid in exact if qid_to_has_ans[qid] == wanted]
        if qids:
            out.update({f"{prefix}_{name}": value for name, value in v2_eval_dict(exact, f1, qids).items()})
    if given_na_probs:
        for name, scores in zip(("exact", "f1"), raw):
            best, best_threshold = v2_best_threshold(preds, scores, na_probs, qid_to_has_ans)
            out.update({f"best_{name}": best, f"best_{name}_thresh": best_threshold})
    out["missing"] = len(questions) - len(exact)
    return out


WORDS = "the a an The cat cat sat on mat. in 1,066 U.S. \u201cquoted\u201d Z\u00fcrich don't -- \u2014 an\u00e9 theatre".split()

NASTY_ANSWERS = [
    "",
    " ",
    "the",
    "a an the",
    "The Theatre",
    "t.h.e",
    "the_end",
    "$1,000.50",
    "a\u2019b a\u0301 the\u0301",
    "\u0130stanbul \u03a3\u0399\u0393\u039c\u0391\u03a3 STRASSE stra\u00dfe",
    "one\u001ctwo\u001dthree\u001efour\u001ffive",
    "no\u00a0break\u3000ideographic\u2028line\u0085next",
    "zero\u200bwidth the\u200bend",
    "the\u093e a\u0940 an\u24b6 the\u0345",
    "the\u2160 a\u00b2 an\u0663 the\u4e94",
    "\u4e2d\u6587 the \u4e2d\u6587the",
    "\uff01\uff0cthe\u3002",
    "!!! ???",
    "a-b a_b a/b",
    "tab\tnew\nline",
]


def random_answer(seeded, longest=6):
    count = int(seeded.integers(0, longest, (1,))[0])
    return " ".join(WORDS[index] for index in seeded.integers(0, len(WORDS), (count,)))


def disturbed_answer(seeded, answers):
    kind = int(seeded.integers(0, 4, (1,))[0])
    if kind == 0 or not answers:
        return random_answer(seeded)
    answer = answers[int(seeded.integers(0, len(answers), (1,))[0])]
    return [answer, "The " + answer.upper() + "!", answer + " " + random_answer(seeded, 3)][kind - 1]


def answer_cases():
    seeded = Seeded("metrics.answers")
    pairs = [(gold, predicted) for gold, predicted in zip(NASTY_ANSWERS, NASTY_ANSWERS[1:])]
    pairs += [("cat cat sat", "cat"), ("cat", "cat cat cat"), ("b a c", "c b"), ("the", ""), ("", "the")]
    for _ in range(30):
        gold = random_answer(seeded)
        pairs.append((gold, disturbed_answer(seeded, [gold])))
    return [
        {
            "gold": gold,
            "predicted": predicted,
            "normalized": [normalize_answer(gold), normalize_answer(predicted)],
            "exact": normalize_answer(gold) == normalize_answer(predicted),
            "f1": float(v2_f1(gold, predicted)),
        }
        for gold, predicted in pairs
    ]


def squad_case(version, questions, predictions, na_probs=None, threshold=1.0):
    case = {"version": version, "gold": list(questions.values())}
    case["predicted"] = [predictions.get(qid) for qid in questions]
    if version == 1:
        case["scores"] = v1_evaluate(questions, predictions)
        return case
    if na_probs:
        case["no_answer"] = [na_probs.get(qid) for qid in questions]
        case["threshold"] = threshold
    case["scores"] = v2_evaluate(questions, predictions, na_probs, threshold)
    return case


def squad_cases():
    seeded = Seeded("metrics.squad")
    cases = []
    for index in range(50):
        version = 1 if index < 15 else 2
        questions, predictions, na_probs = {}, {}, {}
        for question in range(int(seeded.integers(1, 13, (1,))[0])):
            qid = f"q{question}"
            count = int(seeded.integers(2 - version, 4, (1,))[0])
            # Cases with only one kind of question.
            count = {20: 0, 21: 0, 22: max(count, 1), 23: max(count, 1)}.get(index, max(count, 2 - version))
            questions[qid] = [random_answer(seeded) for _ in range(count)]
            silent = version == 2 and int(seeded.integers(0, 3, (1,))[0]) == 0
            prediction = "" if silent else disturbed_answer(seeded, questions[qid])
            # Probabilities that tie, and scores that are none.
            na_probs[qid] = int(seeded.integers(0, 8, (1,))[0]) / 8
            if index % 5 == 4:
                na_probs[qid] = round(float(seeded.normal((1,), std=5.0)[0]), 3)
            missing = index % 3 == 2 and question > 0 and int(seeded.integers(0, 5, (1,))[0]) == 0
            if not missing:
                predictions[qid] = prediction
        given = na_probs if version == 2 and index % 7 != 0 else None
        threshold = [1.0, 0.5, 0.0, -1.0][index % 4] if given else 1.0
        cases.append(squad_case(version, questions, predictions, given, threshold))
    return cases


PARTS = {
    "classes": class_cases,
    "labels": label_cases,
    "numbers": number_cases,
    "tags": tag_cases,
    "answers": answer_cases,
    "squad": squad_cases,
}


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--out", type=Path, required=True, help="the directory of the golden files")
    out = parser.parse_args().out
    for name, make in PARTS.items():
        cases = make()
        # One case a line: a change shows as one changed line.
        lines = ",\n".join(json.dumps(case, separators=(",", ":")) for case in cases)
        write_text(out / f"{name}.json", f"[\n{lines}\n]\n")
        print(f"metrics/{name}.json: {len(cases)} cases", flush=True)


if __name__ == "__main__":
    main()
