"""The nouns: crash report, annotation, mechanism, analysis, thread, frame, soft error."""
