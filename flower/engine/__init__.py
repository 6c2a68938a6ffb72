"""The Brain: LLM streaming, recall, prompts and persistence behind one WebSocket."""
