"""Programs that stay running: a DICOM node, a server, the viewer's page."""
