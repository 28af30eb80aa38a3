"""Personal engines: a small net taught to put one persona on one wearer (PyTorch, the extra `teach`).

pairs.py     what is learned from: the wearer's face, and what a slow teacher made of it
lessons.py   each pair anew: another light, camera and place, things in front
nets.py      the net that learns
train.py     teaching it, for so many seconds, with an exam; goes on where it stopped
write.py     the model folder, checked against the trained weights
"""
