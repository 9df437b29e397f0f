"""Application layer: read stored data and evaluate it by the rules, for defs and api."""
