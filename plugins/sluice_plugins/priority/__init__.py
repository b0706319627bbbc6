"""Built-in priority plugins, PriorityType=priority/NAME, and the factors of multifactor.

basic         the order of arrival
multifactor   the weighted sum of factors
associations  factors of who asks: association, QOS, fair-share
size          factors of what is asked: job size, TRES
partition     the factor of where it waits
waiting       factors of the job alone: age, and the number that an administrator set (site)
"""
