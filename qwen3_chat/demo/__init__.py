"""The demo model that ships with the app."""
