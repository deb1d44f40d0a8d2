"""The demo: a small grammar, the model trained on it and the prompts asked of that model."""
