"""A city's week with planted truth, to judge the detectors by.

It knows nothing of them: what happens is drawn by chance, what is true follows from what happened. Times are seconds
since Monday 00:00 in the city; everything is the same for the same seed.
"""
