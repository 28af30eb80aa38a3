"""What a card must say about a trained model, and that its net is what the card says."""

from __future__ import annotations

import json

import numpy as np
import pytest

from engines.card import read_card
from engines.errors import ModelError
from live.align.crops import Crop
from live.swappers.trained.net import open_net
from tests.trained_nets import make_trained, morphed, twice

ENGINE = "onnx_runtime:cpu:fp32"


def opened(folder):
    return open_net(read_card(folder), ENGINE, 1, False)


def test_a_model_is_opened_as_its_card_says(tmp_path):
    masks = {"celeb_mask": np.ones((128, 128))}
    net = opened(
        make_trained(tmp_path / "m", twice, ("face", "faceswap"), 64, masks, coverage=0.875, vertical_offset=3)
    )
    assert (net.size, net.out_size, net.masks, net.morph) == (64, 128, ("celeb_mask",), False)
    assert net.crop == Crop("face", "faceswap", 0.875, 3.0)
    given = net.run(np.full((64, 64, 3), 7, np.uint8), 0.5)
    assert (given["image"] == 7).all() and (given["celeb_mask"] == 255).all()
    net.engine.close()


WRONG = {
    "no size": ({"size": None}, "'size' must be a whole number from 16 to 2048, got None"),
    "a size of text": ({"size": "64"}, "'size' must be a whole number"),
    "a size of truth": ({"size": True}, "'size' must be a whole number"),
    "a huge size": ({"out_size": 10**9}, "'out_size' must be a whole number"),
    "no crop": ({"crop": None}, "'crop' must be a face type and a fit"),
    "half a crop": ({"crop": ["full"]}, "'crop' must be a face type and a fit"),
    "an unknown crop": ({"crop": ["full", "dfl99"]}, "there is no crop 'full' of 'dfl99'"),
    "no coverage": ({"coverage": "all"}, "'coverage' must be a number"),
    "a coverage of nothing": ({"coverage": 0}, "coverage 0.0"),
    "no outputs": ({"outputs": []}, "'outputs' must be a list of image"),
    "strange outputs": ({"outputs": ["image", "eyes"]}, "'outputs' must be a list of image"),
    "a listed list": ({"outputs": [["image"]]}, "'outputs' must be a list of image"),
    "morph": ({"morph": 1}, "'morph' must be true or false"),
    "another size": ({"size": 64, "out_size": 64}, "takes face: uint8[128, 128, 3], which is not what its card says"),
    "another picture": ({"out_size": 256}, "gives image: uint8[128, 128, 3], which is not what its card says"),
    "a mask that is not there": ({"outputs": ["image", "face_mask"]}, "gives image"),
    "a morph that is not there": ({"morph": True}, "takes face"),
}


@pytest.mark.parametrize(("facts", "words"), WRONG.values(), ids=WRONG)
def test_what_the_card_says_wrongly_is_named(tmp_path, facts, words):
    folder = make_trained(tmp_path / "m", **{key: value for key, value in facts.items() if key not in ("size", "crop")})
    tree = json.loads((folder / "card.json").read_text())
    tree["facts"] |= facts
    (folder / "card.json").write_text(json.dumps(tree))
    with pytest.raises(ModelError) as caught:
        opened(folder)
    assert words in caught.value.message and caught.value.hint


def test_a_net_that_wants_more_than_the_card_says_is_refused(tmp_path):
    with pytest.raises(ModelError, match=r"takes face: .*morph"):
        opened(make_trained(tmp_path / "m", morphed, morph=False))
