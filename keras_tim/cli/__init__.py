"""The command line: parses flags and calls the package."""
