"""Application layer: reads what is stored and evaluates it by the rules; used by defs and api."""
