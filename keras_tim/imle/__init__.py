"""Conditional IMLE: codes, selection, and the steps that tie them together."""
