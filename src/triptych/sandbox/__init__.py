"""Layer 3: where untrusted code runs; it never imports the loop or the runtime."""
