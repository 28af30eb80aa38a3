"""Whose turn it is: handed over slowly both ways, taken over at once from one that fails."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from live.swappers.personal.turn import AGAIN, AHEAD, FADE, Turn

NEAR, FAR = 0.2, 3.0


def played(turn, looks, frames, net=True, mesh=True):
    """Frames in which whoever is asked draws (or fails); the shares that are seen."""
    shares = []
    for _ in range(frames):
        turn.look(looks, 1.0)
        asks_net, asks_mesh = turn.asks
        shares.append(turn.drew(net if asks_net else None, mesh if asks_mesh else None))
    return shares


def test_a_known_look_is_the_nets_alone():
    turn = Turn()
    assert played(turn, NEAR, 50) == [0] * 50
    assert turn.asks == (True, False)


def test_a_new_look_is_handed_over_after_the_mesh_swap_drew_unseen():
    turn = Turn()
    played(turn, NEAR, 10)
    shares = played(turn, FAR, 40)
    asked = shares.index(next(share for share in shares if share > 0))
    assert AHEAD <= asked < AHEAD + 5
    rising = [share for share in shares if 0 < share < 1]
    assert len(rising) == FADE - 1 and rising == sorted(rising)
    assert shares[-1] == 1 and turn.asks == (False, True)


def test_and_back_with_hysteresis():
    turn = Turn()
    played(turn, NEAR, 5)
    played(turn, FAR, 40)
    assert set(played(turn, 0.9, 60)) == {1}  # below the reach, but not by enough
    shares = played(turn, NEAR, 40)
    falling = [share for share in shares if 0 < share < 1]
    assert len(falling) == FADE - 1 and falling == sorted(falling, reverse=True)
    assert shares[-1] == 0 and turn.asks == (True, False)
    assert set(played(turn, 0.9, 60)) == {0}


def test_one_odd_look_changes_nothing():
    turn = Turn()
    played(turn, NEAR, 10)
    played(turn, FAR, 1)
    assert set(played(turn, NEAR, 20)) == {0}


def test_who_begins_with_a_new_look_begins_with_the_mesh_swap():
    assert played(Turn(), FAR, 3) == [1, 1, 1]


def test_a_net_that_fails_is_left_out_at_once_and_asked_again_later():
    turn = Turn()
    played(turn, NEAR, 5)
    assert turn.drew(False, True) == 1
    asked = 0
    while not turn.asks[0]:
        turn.drew(None, True)
        asked += 1
    assert asked == AGAIN
    assert turn.drew(False, True) == 1 and turn.asks == (False, True)  # still ill
    for _ in range(AGAIN):
        turn.drew(None, True)
    shares = played(turn, NEAR, FADE)
    assert shares == sorted(shares, reverse=True) and shares[-1] == 0


def test_a_mesh_swap_that_fails_leaves_the_net_even_in_a_new_look():
    turn = Turn()
    played(turn, NEAR, 5)
    played(turn, FAR, 40)
    assert turn.drew(True, False) == 0
    assert set(played(turn, FAR, AGAIN - 1)) == {0}
    assert played(turn, FAR, 40)[-1] == 1


@given(st.lists(st.tuples(st.floats(0, 5), st.booleans(), st.booleans()), max_size=200), st.floats(0, 3))
def test_the_share_is_always_one_of_who_drew_and_never_jumps_between_two_that_do(script, reach):
    turn, before = Turn(), None
    for far, net_works, mesh_works in script:
        turn.look(far, reach)
        asks_net, asks_mesh = turn.asks
        assert asks_net or asks_mesh
        net, mesh = net_works if asks_net else None, mesh_works if asks_mesh else None
        if not net and not mesh:  # as the swapper does: whoever was not asked is, now
            net, mesh = (True, mesh) if net is None else (net, True)
        share = turn.drew(net, mesh)
        assert 0 <= share <= 1
        assert net or share == 1
        assert mesh or share == 0
        if before is not None and net and mesh:
            assert abs(share - before) <= 1 / FADE + 1e-6
        before = share


def test_the_reach_decides_what_is_new():
    turn = Turn()
    turn.look(1.5, 2.0)
    assert not turn.is_new
    turn = Turn()
    turn.look(1.5, 1.0)
    assert turn.is_new and turn.share == pytest.approx(1)
