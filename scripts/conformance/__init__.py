"""The conversations that any engine must hold, with the features that they show."""
