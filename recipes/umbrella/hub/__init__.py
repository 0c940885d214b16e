"""Publishing datasets and models on the Hub, and reading published data, without personal data going along."""
