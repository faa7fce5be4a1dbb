"""The order desk on both databases: load, read, change once, and never forget an effect."""

from __future__ import annotations

import multiprocessing
import sqlite3
import time
from collections.abc import Iterator, Mapping
from concurrent.futures import ProcessPoolExecutor, ThreadPoolExecutor
from contextlib import closing
from datetime import UTC, datetime, timedelta
from functools import partial
from pathlib import Path
from threading import Barrier
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sqlalchemy import create_engine, text
from sqlalchemy.exc import DBAPIError

from tests.components.postgres import PostgresUrls
from tests.desk_processes import deposit, deposit_and_hang, deposit_one, load
from tests.order_desks import small_records, sqlite_url, stored
from triptych.errors import EffectConflict
from triptych.loop.desk import Applied, Change, OrderDesk, Records
from triptych.loop.desk import rules as desk_rules

CANCEL = {"order_id": "#1", "reason": "no longer needed"}


@pytest.fixture(params=["sqlite", "postgres"])
def url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """The URL of an empty desk, once on each database."""
    if request.param == "sqlite":
        return sqlite_url(tmp_path / "folder" / "desk.sqlite")
    urls: PostgresUrls = request.getfixturevalue("postgres_url")
    return urls.sync


@pytest.fixture
def desk(url: str) -> Iterator[OrderDesk]:
    with OrderDesk(url) as desk:
        desk.load(small_records())
        yield desk


def cancel(desk: OrderDesk, key: str = "run:call-1", **arguments: str) -> Applied:
    given = CANCEL | arguments
    return desk.apply(
        key=key,
        tool="cancel_pending_order",
        arguments=given,
        change=lambda records: desk_rules.cancel_pending_order(records, **given),
    )


def balance(desk: OrderDesk) -> float:
    return desk.users()["ada"]["payment_methods"]["gift_card_1"]["balance"]


# Loading and reading


def test_what_was_loaded_is_read_back_whole(desk: OrderDesk) -> None:
    records = small_records()
    assert stored(desk) == records
    assert desk.user("ada") == records["users"]["ada"]
    assert desk.order("#2") == records["orders"]["#2"]
    assert desk.product("p1") == records["products"]["p1"]
    assert (desk.user("bob"), desk.order("#9"), desk.product("p9")) == (None, None, None)


def test_an_empty_desk_says_so(url: str) -> None:
    with OrderDesk(url) as desk:
        assert desk.is_empty()
        assert desk.load(small_records()) == 4
        assert not desk.is_empty()


def test_loading_again_keeps_changes_and_effects_unless_told_otherwise(desk: OrderDesk) -> None:
    cancel(desk)
    changed = stored(desk)
    assert desk.load(small_records()) == 0
    assert stored(desk) == changed
    assert [effect.key for effect in desk.effects()] == ["run:call-1"]

    more = small_records()
    more["orders"]["#3"] = more["orders"]["#1"] | {"order_id": "#3"}
    assert desk.load(more) == 1
    assert desk.orders()["#1"] == changed["orders"]["#1"]

    assert desk.load(small_records(), reset=True) == 4
    assert stored(desk) == small_records()
    assert desk.effects() == []
    assert_append_only(desk)


def test_a_user_is_found_by_email_and_by_name(desk: OrderDesk) -> None:
    assert desk.user_id_by_email("aDA@example.COM") == "ada"
    assert desk.user_id_by_email("ada@example.org") is None
    assert desk.user_id_by_name("ADA", "quill", "97301") == "ada"
    assert desk.user_id_by_name("Ada", "Quill", "97302") is None
    assert desk.user_id_by_name("Ada", "Quilt", "97301") is None


def test_upper_and_lower_case_beyond_ascii(url: str) -> None:
    records = small_records()
    records["users"]["ada"] |= {"email": "Åsa@Exämple.com", "name": {"first_name": "Åsa", "last_name": "Ödegård"}}
    with OrderDesk(url) as desk:
        desk.load(records)
        assert desk.user_id_by_email("åsa@exÄmple.com") == "ada"
        assert desk.user_id_by_name("åSA", "öDEGÅRD", "97301") == "ada"


# Once, and no more


def test_a_change_and_its_effect_are_stored_together(desk: OrderDesk) -> None:
    before = datetime.now(UTC)
    done = cancel(desk)
    assert done.new
    (effect,) = desk.effects()
    assert (effect.key, effect.tool, effect.arguments, effect.result) == (
        "run:call-1",
        "cancel_pending_order",
        CANCEL,
        done.result,
    )
    assert before - timedelta(seconds=1) <= effect.applied_at <= datetime.now(UTC)
    assert effect.applied_at.tzinfo is UTC
    assert desk.orders()["#1"]["status"] == "cancelled"


def test_the_same_key_gives_the_first_result_and_no_second_effect(desk: OrderDesk) -> None:
    first = cancel(desk)
    after = stored(desk)
    second = cancel(desk)
    assert second == Applied(result=first.result, new=False)
    assert stored(desk) == after
    assert len(desk.effects()) == 1


def test_the_order_of_arguments_does_not_matter(desk: OrderDesk) -> None:
    first = cancel(desk)
    turned = dict(reversed(CANCEL.items()))
    again = desk.apply(key="run:call-1", tool="cancel_pending_order", arguments=turned, change=_must_not_be_called)
    assert again == Applied(result=first.result, new=False)


@pytest.mark.parametrize(
    ("tool", "arguments"),
    [
        ("refund", CANCEL),
        ("cancel_pending_order", CANCEL | {"reason": "ordered by mistake"}),
        ("cancel_pending_order", {"order_id": "#1"}),
    ],
)
def test_a_key_never_stands_for_another_call(desk: OrderDesk, tool: str, arguments: Mapping[str, Any]) -> None:
    cancel(desk)
    after = stored(desk)
    with pytest.raises(EffectConflict, match="'run:call-1' stands for cancel_pending_order") as caught:
        desk.apply(key="run:call-1", tool=tool, arguments=arguments, change=_must_not_be_called)
    assert caught.value.key == "run:call-1"
    assert stored(desk) == after
    assert len(desk.effects()) == 1


def test_a_refusal_leaves_nothing_and_may_succeed_later(desk: OrderDesk) -> None:
    before = stored(desk)
    assert cancel(desk, order_id="#9") == Applied(result="Error: order not found", new=False)
    assert stored(desk) == before
    assert desk.effects() == []
    assert cancel(desk).new


def test_a_rule_that_fails_leaves_nothing(desk: OrderDesk) -> None:
    before = stored(desk)

    def fails_late(records: Records) -> Change:
        order = records.order("#1")
        assert order is not None
        # The first record is written before the second turns out not to exist.
        return Change(result="done", users={"ada": {"name": "x"}}, orders={"#9": order})

    with pytest.raises(ValueError, match="'#9', which is not among the orders"):
        desk.apply(key="k", tool="t", arguments={}, change=fails_late)
    assert stored(desk) == before
    assert desk.effects() == []


def test_a_refusal_that_brings_records_is_a_fault_of_the_rule() -> None:
    with pytest.raises(ValueError, match="a refusal changes no records"):
        Change(result="Error: no", orders={"#1": {}})


def test_two_runs_with_the_same_call_ids_have_two_effects(desk: OrderDesk) -> None:
    assert deposit(desk, "run-1:call-1", 1).new
    assert deposit(desk, "run-2:call-1", 1).new
    assert balance(desk) == 12
    assert [effect.key for effect in desk.effects(key_prefix="run-2")] == ["run-2:call-1"]
    assert [effect.key for effect in desk.effects()] == ["run-1:call-1", "run-2:call-1"]


def test_a_prefix_is_no_pattern(desk: OrderDesk) -> None:
    deposit(desk, "a_b:call-1", 1)
    deposit(desk, "axb:call-1", 1)
    assert [effect.key for effect in desk.effects(key_prefix="a_b")] == ["a_b:call-1"]
    assert desk.effects(key_prefix="%") == []


def _must_not_be_called(records: Records) -> Change:
    raise AssertionError(f"a change was worked out although its key is known: {records}")


# Append-only, whoever writes


def assert_append_only(desk: OrderDesk) -> None:
    """No statement of any client changes or removes an effect."""
    deposit(desk, "kept", 1)
    kept = desk.effects()
    engine = create_engine(desk._engine.url)  # pyright: ignore[reportPrivateUsage]
    values = "'kept', 'other', '{}', 'other', '2026-01-01'"
    statements = [
        "UPDATE effects SET result = 'other'",
        "DELETE FROM effects",
        f"INSERT INTO effects (key, tool, arguments, result, applied_at) VALUES ({values})",
    ]
    if engine.dialect.name == "sqlite":
        statements.append(f"REPLACE INTO effects (key, tool, arguments, result, applied_at) VALUES ({values})")
    else:
        statements.append("TRUNCATE effects")
    for statement in statements:
        with pytest.raises(DBAPIError) as caught, engine.begin() as connection:
            connection.execute(text(statement))
        assert "append-only" in str(caught.value) or "duplicate key" in str(caught.value), statement
    engine.dispose()
    assert desk.effects() == kept


def test_effects_are_append_only(desk: OrderDesk) -> None:
    assert_append_only(desk)


# Many at once


def test_threads_with_one_key_make_one_effect(desk: OrderDesk) -> None:
    with ThreadPoolExecutor(8) as pool:
        racers = [pool.submit(deposit, desk, "one", 1) for _ in range(16)]
    done = [each.result() for each in racers]
    assert {each.result for each in done} == {"deposited one"}
    assert sum(each.new for each in done) == 1
    assert balance(desk) == 11


def test_racers_whose_first_makes_the_change_impossible_all_get_its_result(desk: OrderDesk) -> None:
    with ThreadPoolExecutor(8) as pool:
        racers = [pool.submit(cancel, desk) for _ in range(16)]
    done = [each.result() for each in racers]
    # A racer that worked its result out from the first one's changes would say that the order is not pending.
    assert len({each.result for each in done}) == 1
    assert '"status": "cancelled"' in done[0].result
    assert sum(each.new for each in done) == 1


def test_threads_with_their_own_keys_lose_nothing(desk: OrderDesk) -> None:
    with ThreadPoolExecutor(8) as pool:
        racers = [pool.submit(deposit, desk, f"key-{number}", 1) for number in range(24)]
    assert all(each.result().new for each in racers)
    assert balance(desk) == 34
    assert len(desk.effects()) == 24


def test_processes_share_a_desk(url: str, desk: OrderDesk) -> None:
    keys = [f"key-{number % 6}" for number in range(24)]
    with ProcessPoolExecutor(3, mp_context=multiprocessing.get_context("spawn")) as pool:
        done = list(pool.map(partial(deposit_one, url), keys))
    assert [result for result, _ in done] == [f"deposited {key}" for key in keys]
    assert sum(new for _, new in done) == 6
    assert balance(desk) == 16
    assert len(desk.effects()) == 6


def test_processes_that_open_a_new_desk_at_once_make_it_once(url: str) -> None:
    with ProcessPoolExecutor(3, mp_context=multiprocessing.get_context("spawn")) as pool:
        added = list(pool.map(partial(load, url), [small_records()] * 8))
    assert sorted(added) == [0] * 7 + [4]
    with OrderDesk(url) as desk:
        assert stored(desk) == small_records()
        assert_append_only(desk)


def test_threads_that_open_a_new_desk_at_once_make_it_once(url: str) -> None:
    # Closer together than processes ever start.
    barrier = Barrier(8)

    def open_and_load() -> int:
        barrier.wait()
        return load(url, small_records())

    with ThreadPoolExecutor(8) as pool:
        racers = [pool.submit(open_and_load) for _ in range(8)]
    assert sorted(each.result() for each in racers) == [0] * 7 + [4]


@pytest.mark.parametrize("committed", [False, True])
def test_a_killed_process_leaves_a_whole_effect_or_none(
    url: str, desk: OrderDesk, tmp_path: Path, committed: bool
) -> None:
    marker = tmp_path / "hangs"
    process = multiprocessing.get_context("spawn").Process(
        target=deposit_and_hang, args=(url, "key", str(marker)), kwargs={"committed": committed}
    )
    process.start()
    while not marker.exists():
        assert process.is_alive()
        time.sleep(0.01)
    process.kill()
    process.join()
    assert (balance(desk), len(desk.effects())) == ((11, 1) if committed else (10, 0))
    # The next execution of the step: what is missing is done, what is there is read, and no lock was left behind.
    assert deposit(desk, "key", 1) == Applied(result="deposited key", new=not committed)
    assert (balance(desk), len(desk.effects())) == (11, 1)


def test_a_reader_sees_whole_changes_only_and_never_waits(tmp_path: Path) -> None:
    with OrderDesk(sqlite_url(tmp_path / "desk.sqlite")) as desk:
        desk.load(small_records())
        before = stored(desk)

        def change(records: Records) -> Change:
            # Another connection reads in the middle of the transaction; with a rollback journal it would wait.
            assert stored(desk) == before
            return desk_rules.cancel_pending_order(records, **CANCEL)

        desk.apply(key="k", tool="t", arguments={}, change=change)
        assert desk.orders()["#1"]["status"] == "cancelled"


def test_a_closed_sqlite_desk_is_one_whole_file(tmp_path: Path) -> None:
    with OrderDesk(sqlite_url(tmp_path / "desk.sqlite")) as desk:
        desk.load(small_records())
    assert [file.name for file in tmp_path.iterdir()] == ["desk.sqlite"]
    with closing(sqlite3.connect(tmp_path / "desk.sqlite")) as connection:
        assert connection.execute("SELECT count(*) FROM orders").fetchone() == (2,)


# Any sequence of calls


_CALLS = st.lists(
    st.tuples(st.sampled_from(["k1", "k2", "k3"]), st.sampled_from(["deposit", "gift"]), st.integers(1, 3)), max_size=12
)


@settings(max_examples=30, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(calls=_CALLS)
def test_any_sequence_of_calls_is_a_ledger(calls: list[tuple[str, str, int]], tmp_path: Path) -> None:
    """Against a model in three lines: the first call of a key counts, its equals repeat it, the others are refused."""
    with OrderDesk(sqlite_url(tmp_path / "desk.sqlite")) as desk:
        desk.load(small_records(), reset=True)
        first: dict[str, tuple[str, int]] = {}
        for key, tool, cents in calls:
            known = first.setdefault(key, (tool, cents))
            if known != (tool, cents):
                with pytest.raises(EffectConflict):
                    deposit(desk, key, cents, tool)
            else:
                assert deposit(desk, key, cents, tool).result == f"deposited {key}"
        assert {each.key: (each.tool, each.arguments["cents"]) for each in desk.effects()} == first
        assert [each.key for each in desk.effects()] == list(first)
        assert balance(desk) == 10 + sum(cents for _, cents in first.values())
