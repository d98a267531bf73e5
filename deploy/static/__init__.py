"""The build that runs in the browser, without a server."""
