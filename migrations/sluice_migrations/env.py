"""Alembic's environment: it runs on the connection that it is given, in that connection's transaction.

All versions of one upgrade are one transaction on both databases: an upgrade that fails leaves the database as it was.
"""

from alembic import context

context.configure(connection=context.config.attributes["connection"], transactional_ddl=True)
context.run_migrations()
