"""Tables of training runs: reading, checking, deriving, and the registered public sources."""

from bayesmoe.runs.registry import fetch, load_source, registered, registered_as
from bayesmoe.runs.table import RunTable, as_run_table, read_models, read_runs

__all__ = ["RunTable", "as_run_table", "fetch", "load_source", "read_models", "read_runs", "registered", "registered_as"]
