"""Volumes of CT: reading and writing, geometry, what networks see of them."""
