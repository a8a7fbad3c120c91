"""A step of pretraining as transformers' BertForPreTraining makes it from labels, every token's score for every word
included, for `bert bench --peers transformers-stock`; otherwise as transformers_peer.py has it.

    python transformers_stock_peer.py JOB.json
"""

import transformers_peer

if __name__ == "__main__":
    transformers_peer.main(stock=True)
