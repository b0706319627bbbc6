"""The controller's memory on disk: one SQL database, one writing connection, everything else reads beside it.

A transaction holds the events and the rows they changed; only after its commit may a reply or an effect leave.

tables      the tables, as metadata of SQLAlchemy Core
database    engines for SQLite and PostgreSQL behind one URL; what a driver's error means
rights      an SQLite file as one opens it who may only read it
schema      is the database's schema the one that we know; bring it there
records     records to JSON and back; a job is kept without its spec
batch       what one transaction writes
rows        records as rows of the tables
statements  upserts of many rows, compiled once
save        write a batch
writer      the thread that owns the writing connection: group commit
checkpoint  moves SQLite's write-ahead log into the database beside the commits
tokens      submissions' tokens: which job, and when they are forgotten
load        everything that the engine needs at start
read        single questions: a script, an output's end, an ended job's outcome, the journal
runs        the last runs of each user
accounting  sacct's question: jobs of any age in order of id
selection   sacct's filter as SQL, and the part of it that SQL cannot say
verify      do the tables say what the journal says
"""
