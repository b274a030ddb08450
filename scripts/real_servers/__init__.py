"""Real servers, each in an environment of its own, on which the app is tried by hand."""
