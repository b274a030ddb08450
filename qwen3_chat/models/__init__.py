"""The models: catalogue, hardware, fit, hub, library on this disk, picker."""
