"""The worker process of the local engine: the only importer of llama.cpp."""
