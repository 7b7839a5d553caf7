"""The files beside weights of Hugging Face: config.json and preprocessor_config.json."""
