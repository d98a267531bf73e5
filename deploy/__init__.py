"""Getting the app to where it runs, and checking that it runs there: Spaces, containers, smoke test, evaluation."""
