"""Tables, reports, summaries and the quarantine."""
