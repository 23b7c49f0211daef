"""The waiting column: what a job is seen to be, and what to do about it. No HTTP."""
