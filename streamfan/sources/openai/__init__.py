"""The `openai` source."""
