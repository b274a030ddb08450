"""The demo model: its data, tokenizer, network and file."""
