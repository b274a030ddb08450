"""Suites of questions put to several models: their cases, the checks of answers, pass rates, reports."""
