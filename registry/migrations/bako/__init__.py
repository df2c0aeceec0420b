"""One history of migrations."""
