"""The app in a browser: a server on this machine shows it to one page at a time.

The page is the terminal of textual-serve (xterm.js), loaded from here. Its server is not used: it asks nobody
who they are, starts an app for each connection, by a shell, and ends it with the connection.
"""
