"""A page on which a person chooses among alternatives."""
