"""The tests of sqlalchemy_rediscache."""
