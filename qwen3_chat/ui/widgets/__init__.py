"""Widgets: state in by attribute, events out by message."""
