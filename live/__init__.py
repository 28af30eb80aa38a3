"""The live loop: camera -> find -> swap -> blend -> virtual camera. Start reading at live/loop.py."""
