"""`rediscache demo`: a skewed load on real airport data, without and with the cache."""
