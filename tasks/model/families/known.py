"""The families that have a packed network, by the `model_type` of `config.json`."""

from __future__ import annotations

from polyseme.tasks.model.families.albert import ALBERT
from polyseme.tasks.model.families.bert import BERT
from polyseme.tasks.model.families.distilbert import DISTILBERT
from polyseme.tasks.model.families.electra import ELECTRA
from polyseme.tasks.model.families.family import Family
from polyseme.tasks.model.families.modernbert import MODERNBERT
from polyseme.tasks.model.families.mpnet import MPNET
from polyseme.tasks.model.families.roberta import CAMEMBERT, ROBERTA, XLM_ROBERTA

PACKED: dict[str, Family] = {
    model_type: family
    for family in (BERT, DISTILBERT, ELECTRA, ROBERTA, XLM_ROBERTA, CAMEMBERT, MPNET, ALBERT, MODERNBERT)
    for model_type in family.model_types
}
