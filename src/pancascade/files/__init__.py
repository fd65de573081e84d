"""Files of every kind: written whole, locked, named, digested; tables, JSON and YAML."""
