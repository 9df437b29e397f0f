"""Charts of the pages and of Dagster's UI, one module per chart; :mod:`.axes` has shared axes."""
