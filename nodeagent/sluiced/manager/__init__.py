"""Managing the steps of jobs whose first node this is: a thousand steps in one job are its own agent's work.

The controller hands a job's steps over at the first request and learns of them by reports: a step that was short
comes as one that has ended.  Steps go on being made while the controller is away.

book      the steps of one job: made, merged from results, told.  Pure
journal   the book on disk
waiting   requests that wait for room
managed   the shell around one book
manager   the jobs whose steps are managed here
requests  what sruns ask
courier   results on their way to the managers of their steps, on this node and on others
link      one manager on another node: its connection, and what it has not acknowledged
"""
