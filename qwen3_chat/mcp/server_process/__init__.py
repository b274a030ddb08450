"""The process that talks to MCP servers; the only one that imports the SDK."""
