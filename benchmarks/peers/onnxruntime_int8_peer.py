"""ONNX Runtime with the weights of its matrix products in 8 bits and their rows quantised as they come, for
`bert bench --peers onnxruntime-int8`; otherwise as onnxruntime_peer.py has it.

    python onnxruntime_int8_peer.py JOB.json
"""

import onnxruntime_peer

if __name__ == "__main__":
    onnxruntime_peer.main(int8=True)
