"""The papers' networks, losses and cascades, and their checkpoints."""
