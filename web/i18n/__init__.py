"""The page's texts, a language per file."""
