"""The hand-over of one frame between two threads."""

from __future__ import annotations

import threading

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from live.mailbox import Closed, Mailbox

SOON_S = 10.0


def in_thread(work):
    """Start `work` in a thread; calling the answer joins it and gives its result or raises its error."""
    box = {}

    def run():
        try:
            box["result"] = work()
        except BaseException as error:
            box["error"] = error

    thread = threading.Thread(target=run, daemon=True)
    thread.start()

    def join():
        thread.join(SOON_S)
        assert not thread.is_alive(), "the thread hangs"
        if "error" in box:
            raise box["error"]
        return box["result"]

    return join


def test_post_replaces_what_was_not_read():
    box = Mailbox()
    assert box.post("old") is False
    assert box.post("new") is True
    assert box.take(0) == "new"
    assert box.take(0) is None


def test_post_after_a_take_replaces_nothing():
    box = Mailbox()
    box.post(1)
    box.take()
    assert box.post(2) is False


def test_take_gives_none_after_its_time():
    assert Mailbox().take(0.01) is None


def test_take_waits_for_a_post():
    box = Mailbox()
    join = in_thread(box.take)
    box.post("late")
    assert join() == "late"


def test_hand_does_not_replace():
    box = Mailbox()
    box.post("first")
    join = in_thread(lambda: box.hand("second"))
    assert box.take() == "first"
    assert box.take(SOON_S) == "second"
    join()


def test_take_uses_a_credit_and_waits_without_one():
    box = Mailbox(credits=1)
    box.post("a")
    assert box.take(0) == "a"
    box.post("b")
    assert box.take(0) is None
    box.credit()
    assert box.take(0) == "b"


def test_a_credit_wakes_a_taker_who_gets_the_newest():
    box = Mailbox(credits=1)
    box.post(1)
    box.take()
    join = in_thread(lambda: box.take(SOON_S))
    box.post(2)
    box.post(3)
    box.credit()
    assert join() == 3


def test_waiting_for_an_item_uses_no_credit():
    box = Mailbox(credits=1)
    assert box.take(0) is None
    box.post("a")
    assert box.take(0) == "a"


def test_without_credits_credit_does_nothing():
    box = Mailbox()
    box.credit()
    box.post(1)
    assert box.take(0) == 1


def test_after_close_nothing_comes_in():
    box = Mailbox()
    box.close()
    with pytest.raises(Closed):
        box.post(1)
    with pytest.raises(Closed):
        box.hand(1)


def test_after_close_what_lies_there_can_still_be_taken():
    box = Mailbox()
    box.post("last")
    box.close()
    assert box.take() == "last"
    with pytest.raises(Closed):
        box.take()


def test_close_twice_is_close_once():
    box = Mailbox()
    box.close()
    box.close()
    with pytest.raises(Closed):
        box.take(0)


def test_close_ends_a_waiting_taker():
    box = Mailbox()
    join = in_thread(box.take)
    box.close()
    with pytest.raises(Closed):
        join()


def test_close_ends_a_waiting_giver_and_keeps_what_lies_there():
    box = Mailbox()
    box.post("kept")
    join = in_thread(lambda: box.hand("refused"))
    box.close()
    with pytest.raises(Closed):
        join()
    assert box.take(0) == "kept"


def test_an_abandoned_box_ends_a_taker_without_a_credit_and_drops_what_lies_there():
    box = Mailbox(credits=0)
    box.post("one")
    join = in_thread(box.take)
    box.abandon()
    with pytest.raises(Closed):
        join()
    box.credit()
    with pytest.raises(Closed):
        box.take()
    with pytest.raises(Closed):
        box.post("two")


def test_the_last_item_of_a_closed_box_still_waits_for_its_credit():
    box = Mailbox(credits=1)
    box.post(1)
    box.take()
    box.post(2)
    box.close()
    assert box.take(0) is None
    box.credit()
    assert box.take(0) == 2


def drain(box, credit=False):
    got = []
    while True:
        try:
            got.append(box.take())
        except Closed:
            return got
        if credit:
            box.credit()


@settings(max_examples=25, deadline=None)
@given(st.integers(0, 200), st.sampled_from([None, 1, 2, 5]))
def test_handed_items_all_arrive_in_order(count, credits):
    box = Mailbox(credits)
    join = in_thread(lambda: drain(box, credit=True))
    for item in range(count):
        box.hand(item)
    box.close()
    assert join() == list(range(count))


@settings(max_examples=15, deadline=None)
@given(st.lists(st.integers(0, 60), min_size=1, max_size=4), st.integers(1, 3))
def test_nothing_is_lost_or_doubled_between_several_givers_and_takers(counts, takers):
    box = Mailbox()
    takes = [in_thread(lambda: drain(box)) for _ in range(takers)]

    def give(who, count):
        for n in range(count):
            box.hand((who, n))

    gives = [in_thread(lambda who=who, count=count: give(who, count)) for who, count in enumerate(counts)]
    for join in gives:
        join()
    box.close()
    piles = [join() for join in takes]
    assert sorted(item for pile in piles for item in pile) == [
        (who, n) for who, count in enumerate(counts) for n in range(count)
    ]
    for pile in piles:
        for who in range(len(counts)):
            numbers = [n for giver, n in pile if giver == who]
            assert numbers == sorted(numbers)


@settings(max_examples=25, deadline=None)
@given(st.integers(1, 300))
def test_posted_items_arrive_in_order_and_each_is_taken_or_counted_as_replaced(count):
    box = Mailbox()
    join = in_thread(lambda: drain(box))
    replaced = sum(box.post(item) for item in range(count))
    box.close()
    got = join()
    assert got == sorted(got)
    assert got[-1] == count - 1
    assert len(got) + replaced == count


@settings(max_examples=15, deadline=None)
@given(st.integers(1, 4), st.integers(1, 120))
def test_never_more_items_inside_than_credits(credits, count):
    entrance, exit_ = Mailbox(credits), Mailbox()
    inside, most, lock = 0, 0, threading.Lock()

    def bring_in():
        nonlocal inside, most
        for item in iter(lambda: entrance.take(), None):
            with lock:
                inside += 1
                most = max(most, inside)
            exit_.hand(item)

    def bring_out():
        nonlocal inside
        for _ in range(count):
            exit_.take()
            with lock:
                inside -= 1
            entrance.credit()

    ins, outs = in_thread(bring_in), in_thread(bring_out)
    for item in range(count):
        entrance.hand(item + 1)
    outs()
    entrance.close()
    with pytest.raises(Closed):
        ins()
    assert 1 <= most <= credits


def test_an_item_is_held_back_for_as_long_as_the_taker_says_and_a_newer_one_wins_meanwhile():
    box = Mailbox(credits=1)
    box.post("old")
    asked = threading.Event()

    def hold_s():
        first = not asked.is_set()
        asked.set()
        return 10.0 if first else 0.0

    taken = []
    taker = threading.Thread(target=lambda: taken.append(box.take(hold_s=hold_s)))
    taker.start()
    assert asked.wait(5)
    box.post("new")  # asks again
    taker.join(5)
    assert taken == ["new"]


def test_a_nudge_asks_again():
    box = Mailbox()
    box.post(1)
    asked, answers = threading.Event(), [0.0, 10.0]

    def hold_s():
        asked.set()
        return answers.pop()

    taker = threading.Thread(target=lambda: box.take(hold_s=hold_s))
    taker.start()
    assert asked.wait(5)
    box.nudge()
    taker.join(5)
    assert not answers


def test_nothing_is_held_back_at_the_end():
    box = Mailbox()
    box.post(1)
    box.close()
    assert box.take(hold_s=lambda: 10.0) == 1
