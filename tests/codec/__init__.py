"""The codec, alone and against each database."""
