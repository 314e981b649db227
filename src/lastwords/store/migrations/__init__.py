"""The history of the database's schema; Alembic runs it when a store is opened."""
