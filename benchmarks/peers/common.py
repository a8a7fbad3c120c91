"""What the Python peers of `bert bench` share: reading a job, timing as src/sampling.rs does, answering."""

import inspect
import json
import os
import resource
import sys
import time

COMPARED_ROWS = 8
EMBED_BATCH = 32  # as sentence-transformers has it
WINDOW, SETTLED_WITHIN = 3, 0.1
SIZES, REPEATS, LONG_ENOUGH = (256, 512, 1024, 2048, 4096, 8192), 4, 0.03


def read_job():
    if len(sys.argv) != 2:
        sys.exit(f"usage: {os.path.basename(sys.argv[0])} JOB.json")
    with open(sys.argv[1], encoding="utf-8") as file:
        return json.load(file)


def refuse(job, modes, dtypes=("f32",), devices=("cpu",)):
    for name, allowed in (("mode", modes), ("dtype", dtypes), ("device", devices)):
        if job[name] not in allowed:
            sys.exit(f"this peer does not measure {name} {job[name]}, but {', '.join(allowed)}")


def is_settled(seconds):
    latest = seconds[-WINDOW:]
    return len(latest) == WINDOW and max(latest) <= min(latest) * (1 + SETTLED_WITHIN)


def sample(job, iteration):
    """Times `iteration`, which must not return before all its work is done."""
    limits = job["limits"]

    def timed():
        start = time.perf_counter()
        iteration()
        return time.perf_counter() - start

    timing = {"first": timed(), "warmup": [], "settled": False, "samples": []}
    start = time.perf_counter()
    while True:
        timing["settled"] = is_settled(timing["warmup"])
        enough = timing["warmup"] and time.perf_counter() - start >= limits["warmup_seconds"]
        if timing["settled"] or enough:
            break
        timing["warmup"].append(timed())
    start = time.perf_counter()
    while True:
        timing["samples"].append(timed())
        count = len(timing["samples"])
        over = time.perf_counter() - start >= limits["seconds"]
        if count >= limits["max_samples"] or (over and count >= limits["min_samples"]):
            return timing


def host_memory():
    # Linux counts the memory of the process before `exec` into ru_maxrss, so the other number comes first.
    try:
        with open("/proc/self/status", encoding="ascii") as file:
            for line in file:
                if line.startswith("VmHWM:"):
                    return int(line.split()[1]) * 1024
    except OSError:
        pass
    unit = 1 if sys.platform == "darwin" else 1024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit


def peak_flops(seconds):
    """As src/peak.rs: the best rate of `seconds(n)`, the time of a product of two n by n matrices."""
    peak = 0.0
    for size in SIZES:
        fastest = min(seconds(size) for _ in range(REPEATS))
        peak = max(peak, 2 * size**3 / max(fastest, 1e-9))
        if fastest >= LONG_ENOUGH:
            break
    return peak


def torch_device(job):
    """The torch device of a job, with the job's threads, and what waits for it."""
    import torch

    torch.set_num_threads(job["threads"])
    torch.manual_seed(job["seed"])
    device = torch.device(job["device"])
    if device.type == "cuda" and not torch.cuda.is_available():
        sys.exit("this torch finds no CUDA device")
    wait = torch.cuda.synchronize if device.type == "cuda" else lambda: None
    return device, wait


def torch_dtype(job):
    import torch

    return {"f32": torch.float32, "f16": torch.float16, "bf16": torch.bfloat16}[job["dtype"]]


def torch_reply(job, timing, values, software):
    """The reply of a peer that computes with torch; measures the peak of its device."""
    import torch

    device, wait = torch_device(job)
    memory = {"host_memory": host_memory()}
    adapter = None
    if device.type == "cuda":
        memory["device_memory"] = torch.cuda.max_memory_reserved()
        name, driver = torch.cuda.get_device_name(), f"CUDA {torch.version.cuda}"
        adapter = {"name": name, "driver": driver, "api": "PyTorch", "kind": "GPU"}

    def seconds(size):
        matrix = torch.rand(size, size, device=device, dtype=torch_dtype(job))
        wait()
        start = time.perf_counter()
        matrix @ matrix
        wait()
        return time.perf_counter() - start

    peak = peak_flops(seconds)
    software = {"python": sys.version.split()[0], "torch": torch.__version__, **software}
    reply = {"timing": timing, "values": values, "peak_flops": peak, "software": software, "adapter": adapter}
    return {**reply, **memory}


def arguments(model, batch):
    """The part of a batch that a model takes: not every family has segments."""
    takes = inspect.signature(model.forward).parameters
    return {name: value for name, value in batch.items() if name != "token_type_ids" or name in takes}


def embedder(job, tokens_of, by_length):
    """What turns texts into sentence vectors with a plain encoder, as people write it around one.

    `tokens_of` takes a padded batch of numpy arrays and gives the vectors of its tokens, [batch, seq, hidden]. Texts go
    in their own order, padded to the longest of each batch, or with `by_length` sorted by their number of tokens.
    """
    import numpy
    from transformers import AutoTokenizer

    tokenizer = AutoTokenizer.from_pretrained(job["model"])
    _, seq = job["inputs"]["shape"]
    unit = sentence_vectors_have_length_one(job["model"])

    def embed(texts):
        encoded = tokenizer(texts, truncation=True, max_length=seq)
        order = list(range(len(texts)))
        if by_length:
            order.sort(key=lambda index: len(encoded["input_ids"][index]), reverse=True)
        vectors = [None] * len(texts)
        for first in range(0, len(order), EMBED_BATCH):
            chosen = order[first : first + EMBED_BATCH]
            rows = {name: [values[index] for index in chosen] for name, values in encoded.items()}
            batch = dict(tokenizer.pad(rows, return_tensors="np"))
            counts = batch["attention_mask"][:, :, None]
            pooled = (tokens_of(batch) * counts).sum(1) / counts.sum(1)
            if unit:
                pooled /= numpy.linalg.norm(pooled, axis=1, keepdims=True)
            for index, vector in zip(chosen, pooled):
                vectors[index] = vector
        return numpy.stack(vectors)

    return embed


def sentence_vectors_have_length_one(directory):
    """Whether a directory of sentence-transformers ends with their normalisation; other pooling than the mean is refused."""
    modules = os.path.join(directory, "modules.json")
    if not os.path.isfile(modules):
        return False
    with open(modules, encoding="utf-8") as file:
        modules = json.load(file)
    for module in modules:
        if module["type"].endswith("Pooling"):
            with open(os.path.join(directory, module["path"], "config.json"), encoding="utf-8") as file:
                pooling = json.load(file)
            if not pooling.get("pooling_mode_mean_tokens", pooling.get("pooling_mode") == "mean"):
                sys.exit("this peer makes sentence vectors by the mean of the tokens only")
    return any(module["type"].endswith("Normalize") for module in modules)


def answer(reply):
    json.dump(reply, sys.stdout)
    print()
