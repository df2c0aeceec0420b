"""Child processes and the embedded server."""
