"""Evaluation by a named protocol: records of cases, aggregations, tests, tables."""

from pancascade.evaluation.attribution import Attribution, AttributionSummary, attribute, summarise_attribution
from pancascade.evaluation.case_measurement import measure_case
from pancascade.evaluation.comparison import Comparison, MetricComparison, compare, worst_cases
from pancascade.evaluation.evaluate import Evaluation, Method, evaluate, method_name
from pancascade.evaluation.held_out import SplitPart
from pancascade.evaluation.lesion_detection import DetectionSummary, summarise_detection
from pancascade.evaluation.pairing import Failure
from pancascade.evaluation.protocol import AGGREGATIONS, PROTOCOLS, EmptyRule, LesionRule, Protocol, find_protocol
from pancascade.evaluation.quantities import Metric
from pancascade.evaluation.records import CaseRecord, TargetRecord, slice_record
from pancascade.evaluation.statistic import Statistic
from pancascade.evaluation.summary import Summary, count_cases, summarise, targets_with_voxels
from pancascade.evaluation.values import case_values, metrics_of
from pancascade.evaluation.writing import write_results

__all__ = [
    "AGGREGATIONS",
    "PROTOCOLS",
    "Attribution",
    "AttributionSummary",
    "CaseRecord",
    "Comparison",
    "DetectionSummary",
    "EmptyRule",
    "Evaluation",
    "Failure",
    "LesionRule",
    "Method",
    "Metric",
    "MetricComparison",
    "Protocol",
    "SplitPart",
    "Statistic",
    "Summary",
    "TargetRecord",
    "attribute",
    "case_values",
    "compare",
    "count_cases",
    "evaluate",
    "find_protocol",
    "measure_case",
    "method_name",
    "metrics_of",
    "slice_record",
    "summarise",
    "summarise_attribution",
    "summarise_detection",
    "targets_with_voxels",
    "worst_cases",
    "write_results",
]
