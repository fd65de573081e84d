"""Many scans segmented in one run."""

from pancascade.batch.run import SegmentedCase, segment_many

__all__ = ["SegmentedCase", "segment_many"]
