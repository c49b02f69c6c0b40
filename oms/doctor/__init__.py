"""``doctor``: looks at everything that trading rests on, changes nothing, and says how to mend what is amiss."""
