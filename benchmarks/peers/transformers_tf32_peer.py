"""BERT in PyTorch with matrix products of 32-bit floats in TF32, on a CUDA device only, for
`bert bench --peers transformers-tf32`; otherwise as transformers_peer.py has it.

    python transformers_tf32_peer.py JOB.json
"""

import transformers_peer

if __name__ == "__main__":
    transformers_peer.main(tf32=True)
