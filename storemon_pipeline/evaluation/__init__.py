"""Application layer: evaluate stored data by the rules, for `defs` and `api`."""
