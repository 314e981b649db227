"""The nouns: crash report, annotation, mechanism, analysis, thread, frame, soft error.

Import them from their files (`report.crash_report`, `report.analysis`): the SDK needs `scrub` and
`json_text` in the application's process and must not pay for the dataclasses.
"""
