"""Run cascades and networks on a device, on slices or volumes."""
