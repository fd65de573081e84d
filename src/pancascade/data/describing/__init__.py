"""Description of a data set in numbers."""
