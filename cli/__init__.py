"""The command line: `balance-cache`."""
