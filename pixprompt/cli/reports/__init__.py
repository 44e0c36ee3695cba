"""Commands that show what runs left behind."""
