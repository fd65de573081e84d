"""Reading and writing of DICOM."""
