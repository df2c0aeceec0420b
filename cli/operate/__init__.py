"""What operators run: look at a system that works for others, and mend it."""
