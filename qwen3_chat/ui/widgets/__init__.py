"""The widgets: state in by attribute, events out by message."""
