"""What things cost, measured on the reader's machine; `triptych bench` runs a file of this folder."""
