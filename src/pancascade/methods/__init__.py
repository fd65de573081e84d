"""The papers' networks, losses and cascades, and what is kept of them."""
