"""Tools for the model to call, the check of their arguments, the user's consent."""
