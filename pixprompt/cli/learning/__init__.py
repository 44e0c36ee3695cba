"""Commands that learn, or say what learning would bring."""
