"""Layer 3: where untrusted code runs. Empty as yet; it never imports the loop or the runtime."""
