"""Readers of files that strangers made.

They hold what a file declares against what is in it before they take memory,
and run nothing of it.
"""
