"""How what people do reaches the app: HTTP with a signature, or Socket Mode."""
