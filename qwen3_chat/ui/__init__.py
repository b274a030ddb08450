"""The interface; nothing else imports Textual."""
