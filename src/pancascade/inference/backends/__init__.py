"""Backends that run a cascade's networks on a CPU: OpenVINO, or torch with folded normalisations."""
