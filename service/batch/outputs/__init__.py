"""Rows to tables, reports and summaries."""
