"""The server: scans by browser or REST, segmented by processes that keep the model; `app.py` puts it together."""
