"""One file per step; each has `run(work) -> StepResult`. Their order is `pipeline.STEPS`."""
