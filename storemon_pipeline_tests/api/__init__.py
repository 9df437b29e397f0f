"""The REST API: a real process on real databases."""
