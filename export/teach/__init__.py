"""Personal engines: a small net taught to put one persona on one wearer (PyTorch, the extra `teach`).

pairs.py     what is learned from: the wearer's face, and what a slow teacher made of it; or two people's faces
lessons.py   each pair anew: another light, camera and place, things in front
nets.py      the net that learns from a teacher        train.py   teaching it
twins.py     the net that learns from two people       two.py     teaching it
course.py    so many seconds of either, with exams; goes on where it stopped
write.py     the model folder, checked against the trained weights
"""
