"""The database's schema, version by version.  Each version freezes its own tables and imports nothing of the daemons.

head       the newest version's name, without importing Alembic
upgrade    bring a connection's database to the newest version
env        what Alembic runs for every command
versions/  one file a version, named by its number
"""
