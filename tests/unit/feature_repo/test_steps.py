"""Work that rests between its steps: what it returns, whose turn it is, and what happens when it breaks."""

import asyncio

import pytest

from feature_repo.core.steps import Steps, Turns, finish


def three_steps(name: str, said: list[str], *, broken: bool = False) -> Steps[str]:
    for step in range(3):
        said.append(f"{name}{step}")
        yield
    if broken:
        raise ValueError(name)
    return name


def in_turns(said: list[str], names: str, *, most: int, broken: str = "") -> list[str | BaseException]:
    async def story() -> list[str | BaseException]:
        turns = Turns(most=most)
        works = (turns.finish(three_steps(name, said, broken=name in broken)) for name in names)
        return await asyncio.gather(*works, return_exceptions=True)

    return asyncio.run(story())


def test_steps_are_finished_at_once_where_nobody_takes_turns() -> None:
    said: list[str] = []

    assert finish(three_steps("a", said)) == "a"
    assert said == ["a0", "a1", "a2"]


def test_those_who_begin_together_take_every_step_one_after_the_other() -> None:
    said: list[str] = []

    assert in_turns(said, "abc", most=3) == ["a", "b", "c"]
    assert said == ["a0", "b0", "c0", "a1", "b1", "c1", "a2", "b2", "c2"]


def test_more_than_may_run_wait_until_a_place_is_free() -> None:
    said: list[str] = []

    assert in_turns(said, "abc", most=2) == ["a", "b", "c"]
    assert said[:4] == ["a0", "b0", "a1", "b1"]
    assert said.index("c0") > said.index("a2")


def test_one_that_breaks_gives_its_place_back_and_stops_nobody() -> None:
    said: list[str] = []

    found = in_turns(said, "abcd", most=1, broken="bc")

    assert [str(value) for value in found] == ["a", "b", "c", "d"]
    assert [isinstance(value, ValueError) for value in found] == [False, True, True, False]


@pytest.mark.parametrize(("known", "most"), [(True, 0), (False, 2)])
def test_one_alone_is_not_interrupted_and_where_that_is_known_nobody_is_waited_for(most: int, *, known: bool) -> None:
    async def story() -> int:
        turns, others = Turns(most=2), 0
        turns.alone = lambda: known

        async def count() -> None:
            nonlocal others
            while True:
                others += 1
                await asyncio.sleep(0)

        counting = asyncio.create_task(count())
        await turns.finish(three_steps("a", []))
        counting.cancel()
        return others

    assert asyncio.run(story()) <= most


def test_a_request_that_is_cancelled_gives_its_place_back() -> None:
    async def story() -> str:
        turns = Turns(most=1)
        first = asyncio.create_task(turns.finish(three_steps("a", [])))
        waiting = asyncio.create_task(turns.finish(three_steps("b", [])))
        await asyncio.sleep(0)
        first.cancel()
        with pytest.raises(asyncio.CancelledError):
            await first
        return await waiting

    assert asyncio.run(story()) == "b"
