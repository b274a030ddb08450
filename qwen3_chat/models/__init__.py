"""Which Qwen3 there is, what fits, where it comes from and where it lies: catalog, hub, library, fit, picker."""
