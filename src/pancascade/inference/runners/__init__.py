"""Cascades and networks on a device: slice by slice, volume by volume."""
