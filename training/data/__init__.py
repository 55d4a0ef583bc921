"""Digit images and labeled scans."""
