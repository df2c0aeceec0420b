"""A page that shows the stream of balances; there only where `DEMO_PAGE` is set."""
