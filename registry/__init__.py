"""SQLAlchemy over the adopter's tables: whose predicates, pending transactions."""
