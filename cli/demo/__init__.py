"""The demo: the main job played on real parts, measured, and checked."""
