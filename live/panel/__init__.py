"""The panel: a local page to see yourself, choose a face, and go live.

    show.py      one loop at a time: begun, changed and ended from any thread; cameras stay, covered, in between
    preview.py   what the page shows: a sink, and a look at the camera's own picture
    watchers.py  who watches: a mailbox each, the newest picture wins
    choices.py   cameras and ways out, by name     controls.py  settings as controls, from the parts' own fields
    faces.py     whose face can be worn; adding one by a photo
    presets.py   what is set, kept under a name as a profile; what the panel starts with the next time
    api.py       a call as data: its route, its checks, its part of openapi.json
    server.py    the address: all calls, and a WebSocket, behind local_server's door
    page/        the page itself: no build step, nothing from elsewhere

What comes from a browser is never opened as a path, and never a source, face or sink by itself: it is looked up among
those that the server offers.
"""
