"""A schedule that learns how long jobs take, and what it learns from."""
