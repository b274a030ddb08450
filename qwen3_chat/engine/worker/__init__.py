"""The engine's process: the only importer of llama.cpp."""
