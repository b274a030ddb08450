"""The widgets, which take their state by attribute and post events by message."""
