"""The operator's page: one screen, live, that works when Flower does not."""
