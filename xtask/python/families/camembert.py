"""CamemBERT: the fixtures of RoBERTa for its classes, with a Unigram tokenizer."""

from families.xlm_roberta import of_roberta

FAMILY = of_roberta("Camembert", "camembert", gains={"token": 2.5})
