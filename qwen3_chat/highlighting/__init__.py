"""The colours of code, computed in a process of its own that can be killed at its limits.

A lexer is a set of regular expressions, some of which take hours for a few thousand characters, and Python's
`re` holds the interpreter's lock meanwhile: a thread would freeze the interface as well. So nothing in the
interface's process runs a lexer; code is plain until its colours arrive.
"""
