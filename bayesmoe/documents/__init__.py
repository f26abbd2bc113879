"""The JSON documents: what ``--json`` prints, one file a document."""

from bayesmoe.documents.backtest import BacktestDocument
from bayesmoe.documents.base import Document
from bayesmoe.documents.check import CheckDocument
from bayesmoe.documents.compare import CompareDocument
from bayesmoe.documents.cost import CostDocument
from bayesmoe.documents.next_run import NextRunDocument
from bayesmoe.documents.plan import PlanDocument, PlansDocument
from bayesmoe.documents.predict import PredictDocument
from bayesmoe.documents.runs_check import RunsCheckDocument
from bayesmoe.documents.sensitivity import SensitivityDocument
from bayesmoe.documents.speedup import SpeedupDocument


def all_documents() -> tuple[type[Document], ...]:
    """Every document; those of laws are read here, for they bring JAX."""
    from bayesmoe.documents.law import HyperparameterLawDocument, LawDocument

    return (
        PlanDocument,
        PlansDocument,
        NextRunDocument,
        SensitivityDocument,
        SpeedupDocument,
        CheckDocument,
        PredictDocument,
        BacktestDocument,
        CompareDocument,
        RunsCheckDocument,
        CostDocument,
        LawDocument,
        HyperparameterLawDocument,
    )
