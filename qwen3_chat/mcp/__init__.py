"""MCP servers: their configuration, their process, the user's trust in them, their tools."""
