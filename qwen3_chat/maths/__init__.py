"""Formulas: LaTeX read as a tree, and drawn from it as text in one or several rows, or as MathML."""
