"""BERT in PyTorch with attention operation by operation, for `bert bench --peers transformers-eager`; otherwise as
transformers_peer.py has it.

    python transformers_eager_peer.py JOB.json
"""

import transformers_peer

if __name__ == "__main__":
    transformers_peer.main(attention="eager")
