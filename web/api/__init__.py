"""The REST API: routes, schemas and documentation."""
