"""Definitions: endpoints as data."""
