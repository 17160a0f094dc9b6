"""`rediscache bench`: what the cache gains, against no cache, another cache and bare Redis."""

from sqlalchemy_rediscache.cli.bench.command import bench

__all__ = ["bench"]
