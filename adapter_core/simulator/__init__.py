"""The simulated centre: a rehearsal partner with people, benefits and faults.  Everything in it is invented."""
