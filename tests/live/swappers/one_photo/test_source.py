"""What each family's net is told of the persona, against the steps written out."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from engines.card import read_card
from engines.engine import TensorSpec
from engines.errors import ModelError
from live.align import cut_fine
from live.align.crops import five_point_matrix
from live.personas import open_persona
from live.recogniser import Recogniser, recogniser_card
from live.swappers.one_photo.source import source_of
from tests.one_photo_nets import emap, make_model, swapper

VECTOR = TensorSpec("source", (1, 512), np.dtype(np.float32))


@pytest.fixture
def told(models, tmp_path, portrait):
    """told(file name) is what that model is told of the portrait."""

    def tell(file_name, spec=VECTOR, persona=portrait, **facts):
        folder = make_model(tmp_path / f"m{len(list(tmp_path.iterdir()))}", file_name, swapper(file_name))
        card = read_card(folder)
        return source_of(persona, replace(card, facts=card.facts | facts), spec)

    return tell


@pytest.fixture
def vector(models, portrait):
    opened = Recogniser(recogniser_card())
    yield lambda persona: opened.vector(persona.image, persona.face.points)
    opened.close()


def unit(vector):
    return vector / np.linalg.norm(vector)


def test_the_recognisers_own_vector_of_length_one(told, vector, portrait):
    np.testing.assert_allclose(told("hyperswap_1a_256.onnx")[0], unit(vector(portrait)), atol=1e-6)


def test_inswappers_vector_goes_through_its_matrix_and_is_of_length_one(told, vector, portrait):
    wanted = unit(unit(vector(portrait)) @ emap())
    np.testing.assert_allclose(told("inswapper_128.onnx")[0], wanted, atol=1e-6)


def test_simswaps_and_hififaces_is_converted_and_of_length_one_ghosts_as_it_comes(told, vector, portrait):
    for file_name in ("simswap_256.onnx", "hififace_unofficial_256.onnx"):
        np.testing.assert_allclose(told(file_name)[0], unit(vector(portrait)), atol=1e-6)
    np.testing.assert_allclose(told("ghost_1_256.onnx")[0], 2 * vector(portrait), rtol=1e-5)


@pytest.mark.parametrize(
    ("file_name", "size", "template"),
    [("blendswap_256.onnx", 112, "arcface_112_v2"), ("uniface_256.onnx", 256, "ffhq_512")],
)
def test_others_are_shown_the_face_in_rgb_from_0_to_1(told, portrait, file_name, size, template):
    picture = told(file_name, TensorSpec("source", (1, 3, size, size), np.dtype(np.float32)))
    crop = cut_fine(portrait.image, five_point_matrix(portrait.face.points, template, size), size)
    np.testing.assert_allclose(picture[0].transpose(1, 2, 0)[..., ::-1] * 255, crop, atol=1e-3)


def test_several_portraits_count_alike(told, vector, portrait, finder):
    other = open_persona("sample:nia", finder)
    both = replace(portrait, views=portrait.views + other.views)
    wanted = unit((vector(portrait) + vector(other)) / 2)
    np.testing.assert_allclose(told("hyperswap_1a_256.onnx", persona=both)[0], wanted, atol=1e-6)


def test_half_precision_is_fed_in_half(told):
    assert told("hyperswap_1a_256.onnx", replace(VECTOR, dtype=np.dtype(np.float16))).dtype == np.float16


@pytest.mark.parametrize(
    "facts", [{"source": "sound"}, {"source": "image"}, {"source": "image", "source_size": 112, "source_template": 1}]
)
def test_a_card_that_does_not_say_what_is_told_is_refused(told, facts):
    with pytest.raises(ModelError, match="source"):
        told("hyperswap_1a_256.onnx", **facts)


def test_a_matrix_of_another_size_is_refused(told, tmp_path, models, portrait):
    folder = make_model(tmp_path / "broken", "inswapper_128.onnx", swapper("inswapper_128.onnx"))
    card = read_card(folder)
    for data in (np.eye(5), np.full((512, 512), np.nan)):
        np.save(folder / "emap.npy", data)
        import hashlib

        sums = card.sha256 | {"emap.npy": hashlib.sha256((folder / "emap.npy").read_bytes()).hexdigest()}
        with pytest.raises(ModelError, match="512 x 512"):
            source_of(portrait, replace(card, sha256=sums), VECTOR)
