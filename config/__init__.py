"""Settings, networks and logging."""
