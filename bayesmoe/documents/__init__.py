"""The JSON documents: what ``--json`` prints, one file a document."""

from bayesmoe.documents.backtest import BacktestDocument
from bayesmoe.documents.base import Document
from bayesmoe.documents.check import CheckDocument
from bayesmoe.documents.compare import CompareDocument
from bayesmoe.documents.next_run import NextRunDocument
from bayesmoe.documents.plan import PlanDocument, PlansDocument
from bayesmoe.documents.predict import PredictDocument
from bayesmoe.documents.runs_check import RunsCheckDocument
from bayesmoe.documents.sensitivity import SensitivityDocument

all_documents: tuple[type[Document], ...] = (
    PlanDocument,
    PlansDocument,
    NextRunDocument,
    SensitivityDocument,
    CheckDocument,
    PredictDocument,
    BacktestDocument,
    CompareDocument,
    RunsCheckDocument,
)
