"""Sending one request within a deadline, and keeping keys out of sight."""
