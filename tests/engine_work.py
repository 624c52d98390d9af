"""Work for processes, in a module that they can load."""

import time


def sleep(shared, seconds):
    time.sleep(seconds)
    return seconds
