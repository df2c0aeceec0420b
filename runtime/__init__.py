"""Builds the parts from settings: the one composition root."""
