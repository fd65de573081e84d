"""Studies from a PACS, and results back to it: a DICOM node with a queue on disk, and DICOMweb."""
