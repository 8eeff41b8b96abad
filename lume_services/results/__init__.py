"""Results: records of model runs, how they are found, and how they leave the store."""

from lume_services.results.export import export_results
from lume_services.results.impact import ImpactResult
from lume_services.results.provenance import Provenance
from lume_services.results.registry import get_result_from_string, get_result_types
from lume_services.results.result import Result, load_result
from lume_services.results.scan_result import FailedScanResult, ScanResult
from lume_services.results.transfer import Transfer, copy_results, import_results
from lume_services.results.where import parse_where

__all__ = [
    "FailedScanResult",
    "ImpactResult",
    "Provenance",
    "Result",
    "ScanResult",
    "Transfer",
    "copy_results",
    "export_results",
    "get_result_from_string",
    "get_result_types",
    "import_results",
    "load_result",
    "parse_where",
]
