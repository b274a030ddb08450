"""Attacks on the app: seeded, repeatable, each with the figures that it found."""
