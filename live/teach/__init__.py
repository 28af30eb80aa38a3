"""The workshop: what a personal engine is taught of (export/teach makes the net, live/swappers/personal wears it).

workshop.py  START HERE: one folder for each engine to be      pieces.py   what steps keep in it: sealed, to go on with
footage.py   what --source means, and how it is opened         script.py   what the wearer is asked to do
record.py    step 1: the camera's pictures                     looks.py    what is wrong with a frame, and how alike two are
faces.py     step 2: in which frames there is a face to learn  sheet.py    contact sheets
targets.py   step 3: what the teacher makes of them            engine.py   step 5: what the model folder says and holds

Step 4 is export/teach/train.py.
"""
