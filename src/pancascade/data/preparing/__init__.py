"""From a data set to a store."""
