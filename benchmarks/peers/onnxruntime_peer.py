"""ONNX Runtime with a graph exported from transformers, for `bert bench --peers onnxruntime`.

The forward pass, and texts to sentence vectors, sorted by length, 32 at a time. With its own quantisation it is the peer
`onnxruntime-int8` (onnxruntime_int8_peer.py).

    python onnxruntime_peer.py JOB.json
"""

import contextlib
import logging
import os
import sys
import tempfile
import warnings

import common
import numpy
import onnxruntime
import torch
from onnxruntime.quantization import QuantType, quantize_dynamic
from transformers import AutoModel

NAMES = ("input_ids", "attention_mask", "token_type_ids")


class Encoder(torch.nn.Module):
    def __init__(self, directory):
        super().__init__()
        self.model = AutoModel.from_pretrained(directory, attn_implementation="eager").eval()

    def forward(self, input_ids, attention_mask, token_type_ids=None):
        segments = {} if token_type_ids is None else {"token_type_ids": token_type_ids}
        output = self.model(input_ids=input_ids, attention_mask=attention_mask, **segments)
        pooled = getattr(output, "pooler_output", None)
        return output.last_hidden_state if pooled is None else (output.last_hidden_state, pooled)


def quantized(path):
    """The file with matrix products in 8 bits: a scale for each column of a weight, and one for what it multiplies."""
    smaller = path + ".int8"
    products = ["MatMul", "Gemm"]
    quantize_dynamic(path, smaller, op_types_to_quantize=products, per_channel=True, weight_type=QuantType.QInt8)
    return smaller


def session(job, arrays, int8):
    """The model as an ONNX file, optimised by the runtime for the machine."""
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = job["threads"]
    options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_ENABLE_ALL
    with tempfile.TemporaryDirectory() as directory, torch.no_grad():
        path = os.path.join(directory, "model.onnx")
        encoder = Encoder(job["model"])
        inputs = common.arguments(encoder.model, {name: torch.from_numpy(arrays[name]) for name in NAMES})
        names = list(inputs)
        shapes = None
        if job["mode"] == "embed":
            any_size = {axis: torch.export.Dim.DYNAMIC for axis in (0, 1)}
            shapes = {name: any_size for name in names}
        # The exporter talks on standard output, which is for the reply.
        with contextlib.redirect_stdout(sys.stderr):
            torch.onnx.export(
                encoder, (), path, kwargs=inputs, input_names=names, dynamic_shapes=shapes, dynamo=True
            )
            if int8:
                path = quantized(path)
        return onnxruntime.InferenceSession(path, options, providers=["CPUExecutionProvider"])


def main(int8=False):
    job = common.read_job()
    common.refuse(job, ("forward", "embed"))
    logging.disable(logging.WARNING)
    warnings.simplefilter("ignore")
    torch.set_num_threads(job["threads"])
    inputs = job["inputs"]
    arrays = {name: numpy.array(inputs[name], dtype=numpy.int64).reshape(inputs["shape"]) for name in NAMES}
    embeds = job["mode"] == "embed"
    # What is exported with a shape of its own need not be large.
    runtime = session(job, {name: values[:4] for name, values in arrays.items()} if embeds else arrays, int8)
    # The exporter drops inputs that the graph does not read.
    wanted = [wanted.name for wanted in runtime.get_inputs()]

    def tokens_of(batch):
        # The graph may take segments that the family's tokenizer does not give.
        segments = batch.get("token_type_ids", numpy.zeros_like(batch["input_ids"]))
        batch = {**batch, "token_type_ids": segments}
        return runtime.run(None, {name: batch[name] for name in wanted})[0]

    if embeds:
        embed, texts = common.embedder(job, tokens_of, by_length=True), inputs["texts"]
        output = embed(texts[: common.COMPARED_ROWS])
        timing = common.sample(job, lambda: embed(texts))
    else:
        output = tokens_of(arrays)[: common.COMPARED_ROWS, 0]
        timing = common.sample(job, lambda: tokens_of(arrays))
    values = {"output": output.astype("float64").flatten().tolist()}
    # The export needs more memory than the runtime does, so that a peak would say nothing.
    software = {"python": sys.version.split()[0], "torch": torch.__version__, "onnxruntime": onnxruntime.__version__}
    common.answer({"timing": timing, "values": values, "software": software})


if __name__ == "__main__":
    main()
