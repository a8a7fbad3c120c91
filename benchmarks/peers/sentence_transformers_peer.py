"""Texts to vectors by sentence-transformers, for `bert bench --peers sentence-transformers`.

    python sentence_transformers_peer.py JOB.json
"""

import logging

import common
import sentence_transformers
from sentence_transformers import SentenceTransformer


def main():
    job = common.read_job()
    common.refuse(job, ("embed",), ("f32", "f16", "bf16"), ("cpu", "cuda"))
    logging.disable(logging.WARNING)
    device, wait = common.torch_device(job)
    model = SentenceTransformer(job["model"], device=str(device)).to(common.torch_dtype(job))
    texts = job["inputs"]["texts"]

    def embed(texts):
        return model.encode(texts, show_progress_bar=False)

    values = {"output": embed(texts[: common.COMPARED_ROWS]).astype("float64").flatten().tolist()}

    def iteration():
        embed(texts)
        wait()

    wait()
    timing = common.sample(job, iteration)
    software = {"sentence-transformers": sentence_transformers.__version__}
    common.answer(common.torch_reply(job, timing, values, software))


if __name__ == "__main__":
    main()
