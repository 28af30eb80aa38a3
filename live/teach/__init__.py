"""The workshop: what a personal engine is taught of (export/teach makes the net, live/swappers/personal wears it).

workshop.py  START HERE: one folder for each engine to be       pieces.py  what steps keep in it: sealed, to go on with
steps.py     the steps in a workshop, done or to be done        footage.py what --source means, and how it is opened
record.py    step 1: the camera's pictures                      script.py  what the wearer is asked to do
faces.py     step 2: where there is a face to learn from        looks.py   what is wrong with a frame, how two differ
targets.py   step 3: what the teacher makes of them             sheet.py   contact sheets
itself.py    step 3 where the persona's footage teaches         photos.py  a folder of photos as footage
told.py      what each face does, for both people alike         alike.py   is it the face that may be worn?
             step 4: export/teach/course.py
engine.py    step 5: what the engine's card says
"""
