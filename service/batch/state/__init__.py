"""State of a run on disk, by which it resumes."""
