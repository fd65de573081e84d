"""Where the pancreas lies, and how surely."""
