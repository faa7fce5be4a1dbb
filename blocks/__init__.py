"""A project's block documents, as code; `triptych blocks` saves them."""
