"""Programs that keep running: a DICOM node, a server, the viewer's page."""
