"""The process in which the chat template of a model file runs, with limits of its own."""
