"""The conversations that any engine has to hold, with what they tell about it."""
