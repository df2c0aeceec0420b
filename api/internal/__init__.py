"""Doors for services: shut without a key, narrow with one."""
