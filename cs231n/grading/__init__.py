"""Grading notebooks: the learner's code runs in a child process that knows no answers."""
