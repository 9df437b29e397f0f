"""Helpers of the tests: processes, workspaces and texts that several folders use."""
