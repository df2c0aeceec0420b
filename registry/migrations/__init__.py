"""Alembic's environment and the two histories."""
