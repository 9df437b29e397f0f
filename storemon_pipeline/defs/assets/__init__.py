"""Assets, a module for each group of the UI."""
