"""Likely porting mistakes, written here once more: they share nothing with the list of faults.

`PYTHONPATH=tests python -m validation.mistakes [-n N] [--seed S] [-k WORD]` makes each in N random problems
of every form, half of them with the last output only, and counts what is stated.
"""
