"""Helpers of the tests: processes, workspaces and texts shared by several folders."""
