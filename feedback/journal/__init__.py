"""The local journal in SQLite; all SQL is here."""
