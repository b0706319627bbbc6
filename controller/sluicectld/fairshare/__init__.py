"""Fair-share: from promised shares and decayed usage to one factor in [0, 1] for each association.  Pure.

tree        associations as a tree, with the usage of each account added up; accounts with `parent` shares dissolved
fair_tree   the Fair Tree algorithm: users ranked level by level
classic     the classic algorithm 2^(-usage/shares), damped or depth-oblivious
factors     from associations and flags to the factor of each
usage       decay with a half-life, accrual of running jobs, periodic resets
billing     what an allocation costs in a second, from TRESBillingWeights
"""
