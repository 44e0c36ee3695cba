"""Commands that use a prompt."""
