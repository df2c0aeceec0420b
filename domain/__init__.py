"""Values, errors and protocols: the standard library alone."""
