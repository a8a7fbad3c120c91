"""What the Python peers of `bert bench` share: reading a job, timing as src/sampling.rs does, answering."""

import json
import os
import resource
import sys
import time

COMPARED_ROWS = 8
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


def answer(reply):
    json.dump(reply, sys.stdout)
    print()
