"""Segment many scans in one run."""

from pancascade.segmentation.batch.batch_run import SegmentedCase, segment_many

__all__ = ["SegmentedCase", "segment_many"]
