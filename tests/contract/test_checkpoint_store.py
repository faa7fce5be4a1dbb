"""One contract for the checkpoint store, held by a folder and by an S3 server."""

from __future__ import annotations

import asyncio
import json
import pickle
import subprocess
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any, cast
from uuid import UUID

import anyio
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from prefect import flow
from prefect.client.schemas.objects import State
from pydantic import ValidationError

from tests.components.prefect_server import PrefectServer
from tests.contract.checkpoint_stores import StoreKind, as_arguments, python
from triptych.errors import ConfigurationError
from triptych.records import Resolution
from triptych.runtime.results import PLAIN_JSON, ended
from triptych.runtime.store import CheckpointStore

KEYS = [
    "checkpoints/run-1/agent-0/0001-model-request.json",
    "checkpoints/run-1/agent-0/0001-tool-look_up-0123456789abcdef.json",
    "checkpoints/run-1/agent-0/0001-tool/sub-0/0001-model-request.json",
    "checkpoints/run-10/agent-0/0001-model-request.json",
    "odd/a b+c&d=e%20~#?ü.json",
]


@pytest.mark.parametrize("content", [b"", b"\n", b"{}\n{}\n", bytes(range(256)) * 4096], ids=len)
async def test_bytes_come_back_as_they_were_written(store: CheckpointStore, content: bytes) -> None:
    await store.write("a/b.json", content)
    assert await store.read("a/b.json") == content


async def test_an_absent_object_is_none(store: CheckpointStore) -> None:
    assert await store.read("a/b.json") is None
    await store.write("a/b.json", b"x")
    assert await store.read("a/b") is None
    assert await store.read("a/c.json") is None


async def test_a_listing_is_exact_whatever_was_listed_or_looked_for_before(store: CheckpointStore) -> None:
    assert await store.keys("checkpoints") == []
    for key in KEYS:
        assert await store.read(key) is None
        await store.write(key, key.encode())
    assert await store.keys("checkpoints") == sorted(key for key in KEYS if key.startswith("checkpoints/"))
    # `run-10` begins with `run-1`, and is another run.
    assert await store.keys("checkpoints/run-1") == sorted(key for key in KEYS if key.startswith("checkpoints/run-1/"))
    assert await store.keys("odd") == [KEYS[-1]]
    await store.remove(KEYS[0])
    assert await store.read(KEYS[0]) is None
    assert await store.keys("checkpoints/run-1/agent-0") == sorted(KEYS[1:3])
    await store.write(KEYS[0], b"again")
    assert await store.keys("checkpoints/run-1/agent-0") == sorted(KEYS[:3])
    for key in KEYS:
        assert await store.read(key) == (b"again" if key == KEYS[0] else key.encode())


async def test_a_listing_goes_on_past_one_page(store: CheckpointStore) -> None:
    keys = [f"many/{number:04d}.json" for number in range(1003)]
    async with anyio.create_task_group() as group:
        slots = anyio.Semaphore(20)

        async def put(key: str) -> None:
            async with slots:
                await store.write(key, b"x")

        for key in keys:
            group.start_soon(put, key)
    assert await store.keys("many") == keys


async def test_an_overwrite_leaves_nothing_of_the_old_object(store: CheckpointStore) -> None:
    await store.write("a", b"long " * 1000)
    await store.write("a", b"short")
    assert await store.read("a") == b"short"
    assert await store.keys("a") == []


async def test_removing_is_quiet_where_there_is_nothing(store: CheckpointStore) -> None:
    await store.remove("a/b")
    await store.write("a/b", b"x")
    await store.remove("a/b")
    await store.remove("a/b")
    assert await store.read("a/b") is None


@pytest.mark.parametrize("key", ["", ".", "..", "../a", "a/../../b", "a/..", "/etc/passwd", "//a", "a\0b"])
async def test_a_key_that_leaves_the_store_is_refused(store: CheckpointStore, key: str) -> None:
    for call in (store.read(key), store.write(key, b"x"), store.keys(key), store.remove(key)):
        with pytest.raises(ConfigurationError, match="key"):
            await call


async def test_a_check_leaves_nothing_behind(store: CheckpointStore) -> None:
    await store.check()
    assert await store.keys("checks") == []


def test_one_store_is_used_from_several_event_loops(store: CheckpointStore) -> None:
    async def use(name: str) -> bytes | None:
        await store.write(name, name.encode())
        await asyncio.sleep(0)
        return await store.read(name)

    found: list[bytes | None] = [asyncio.run(use("first"))]

    def from_a_thread(number: int) -> None:
        found.append(asyncio.run(use(f"thread-{number}")))

    threads = [threading.Thread(target=from_a_thread, args=(number,)) for number in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    found.append(asyncio.run(use("last")))
    assert sorted(cast("list[bytes]", found)) == sorted([b"first", b"last", *(b"thread-%d" % n for n in range(4))])


def test_one_loop_opens_one_client_for_all_who_ask_at_once(store: CheckpointStore) -> None:
    async def use() -> list[bytes | None]:
        await store.write("a", b"x")
        return await asyncio.gather(*(store.read("a") for _ in range(50)))

    assert asyncio.run(use()) == [b"x"] * 50


def test_a_cancelled_caller_does_not_take_the_others_with_it(store: CheckpointStore) -> None:
    async def use() -> bytes | None:
        impatient = asyncio.create_task(store.read("a"))
        await asyncio.sleep(0)
        patient = asyncio.create_task(store.write("a", b"x"))
        await asyncio.sleep(0)
        impatient.cancel()
        await patient
        return await store.read("a")

    assert asyncio.run(use()) == b"x"


# Prefect's own results in the same store


def run_flow(store: CheckpointStore, kind: StoreKind, result: Callable[[], Any], *, sync: bool) -> State[Any]:
    store.save(f"contract-{kind}", overwrite=True)  # pyright: ignore[reportUnusedCoroutine]
    options: Any = {
        "result_storage": f"checkpoint-store/contract-{kind}",
        "persist_result": True,
        "result_serializer": PLAIN_JSON,
    }
    if sync:

        @flow(**options)
        def from_a_thread() -> Any:
            return result()

        return from_a_thread(return_state=True)

    @flow(**options)
    async def from_the_loop() -> Any:
        return result()

    return cast("State[Any]", asyncio.run(cast(Any, from_the_loop(return_state=True))))


def result_elsewhere(flow_run_id: UUID | None, server: PrefectServer) -> subprocess.CompletedProcess[str]:
    """Print a flow run's result in a process that knows nothing of it."""
    code = """if True:
        import json, sys
        from prefect.client.orchestration import get_client
        with get_client(sync_client=True) as client:
            state = client.read_flow_run(sys.argv[1]).state
            assert state.is_completed()
            print(json.dumps(state.result()))
    """
    return python(code, str(flow_run_id), env=server.env)


@pytest.mark.parametrize("sync", [True, False], ids=["sync", "async"])
def test_a_flow_s_result_is_plain_json_for_another_process(
    store: CheckpointStore, store_kind: StoreKind, sync: bool, prefect_server: PrefectServer
) -> None:
    value = {"answer": "Grüße", "numbers": [1, 2.5, None, True]}
    state = run_flow(store, store_kind, lambda: value, sync=sync)
    assert state.is_completed()
    read = result_elsewhere(state.state_details.flow_run_id, prefect_server)
    assert json.loads(read.stdout or read.stderr) == value
    # Prefect's own websocket is left open by `state.result()`; ours must not be.
    for complaint in ("Unclosed client", "Unclosed connector", "was destroyed", "never retrieved", "Exception ignored"):
        assert complaint not in read.stderr


def test_an_ended_flow_s_record_is_durable_before_the_run_says_so(
    store: CheckpointStore, store_kind: StoreKind, prefect_server: PrefectServer
) -> None:
    store.save(f"contract-{store_kind}", overwrite=True)  # pyright: ignore[reportUnusedCoroutine]
    record = Resolution(outcome="resolved", answer="Done.")

    @flow(result_storage=f"checkpoint-store/contract-{store_kind}", persist_result=True, result_serializer=PLAIN_JSON)
    async def recording() -> Any:
        return await ended(record)

    state: State[Any] = asyncio.run(cast(Any, recording(return_state=True)))
    read = result_elsewhere(state.state_details.flow_run_id, prefect_server)
    assert Resolution.model_validate_json(read.stdout or read.stderr) == record
    assert len(asyncio.run(store.keys("results"))) == 1


HOSTILE = {
    "a pickle": pickle.dumps({"a": 1}),
    "a class to import": b'{"__class__": "os.system", "data": "id"}',
    "an exception to import": b'{"x": [{"__exc_type__": "os.system", "message": "id"}]}',
    "a class in escapes": b'{"\\u005f_class__": "os.system", "data": "id"}',
    "a task's pickled result": json.dumps(
        {"metadata": {"serializer": {"type": "pickle"}, "storage_key": "x"}, "result": "gASV"}
    ).encode(),
    "a compressed result": json.dumps(
        {"metadata": {"serializer": {"type": "compressed/pickle"}}, "result": "gASV"}
    ).encode(),
    "half an object": b'{"a": ',
}


@pytest.mark.parametrize("content", HOSTILE.values(), ids=HOSTILE)
async def test_a_result_that_runs_code_is_neither_written_nor_read(store: CheckpointStore, content: bytes) -> None:
    with pytest.raises(ConfigurationError, match="not plain JSON"):
        await store.write_path("result", content)
    assert await store.keys("results") == []
    await store.write("results/result", content)
    with pytest.raises(ConfigurationError, match="not plain JSON"):
        await store.read_path("result")


def an_envelope(value: object, **serializer: Any) -> bytes:
    named = PLAIN_JSON.model_dump() | serializer
    return json.dumps({"metadata": {"serializer": named}, "result": json.dumps(value)}).encode()


@pytest.mark.parametrize(
    "content",
    [
        an_envelope({}, type="pickle"),
        an_envelope({}, type="compressed/json"),
        an_envelope({}, jsonlib="pickle"),
        an_envelope({}, object_decoder="prefect.serializers.prefect_json_object_decoder"),
        an_envelope({}, loads_kwargs={"parse_float": "os.system"}),
        json.dumps({"metadata": {"serializer": {"type": "json"}}, "result": "{}"}).encode(),  # the default decoder
        json.dumps({"metadata": {}, "result": "gASV"}).encode(),  # the default serializer: a pickle
        json.dumps({"result": "gASV"}).encode(),  # the same without metadata
        json.dumps({"data": "gASV", "serializer": {"type": "pickle"}}).encode(),  # Prefect's older format
        json.dumps({"a": "b"}).encode("utf-16"),  # read here, and not by Prefect's own parser
    ],
)
async def test_a_record_that_names_its_own_loader_is_refused(tmp_path: Path, content: bytes) -> None:
    store = CheckpointStore(location=str(tmp_path))
    with pytest.raises(ConfigurationError, match="not plain JSON"):
        await store.write_path("result", content)


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=25)
@given(value=st.recursive(st.none() | st.booleans() | st.integers() | st.text(), st.lists, max_leaves=5))
def test_plain_json_passes(tmp_path_factory: pytest.TempPathFactory, value: object) -> None:
    store = CheckpointStore(location=str(tmp_path_factory.getbasetemp()))
    for content in (an_envelope(value), json.dumps(value).encode()):
        asyncio.run(store.write_path("plain", content))
        assert asyncio.run(store.read_path("plain")) == content


def test_a_flow_that_would_pickle_its_result_fails(
    store: CheckpointStore, store_kind: StoreKind, prefect_server: PrefectServer
) -> None:
    store.save(f"contract-{store_kind}", overwrite=True)  # pyright: ignore[reportUnusedCoroutine]

    @flow(result_storage=f"checkpoint-store/contract-{store_kind}", persist_result=True)
    async def pickling() -> Any:
        return await ended(Resolution(outcome="resolved", answer="Done."))

    state: State[Any] = asyncio.run(cast(Any, pickling(return_state=True)))
    assert state.is_failed()
    assert "PLAIN_JSON" in (state.message or "")


# What the operator wrote


@pytest.mark.parametrize(
    ("fields", "says"),
    [
        ({"location": "gs://bucket/prefix"}, "not gs://"),
        ({"location": "s3://"}, "names no bucket"),
        ({"location": "s3:///prefix"}, "names no bucket"),
        ({"location": " "}, "empty"),
        ({"location": "relative/folder"}, "absolute"),
        ({"location": "file:relative/folder"}, "absolute"),
        ({"location": "file://server/folder"}, "'server' would be another machine"),
        ({"location": "s3://bucket/prefix?region=eu"}, "fields of their own"),
        ({"location": "s3://b/p", "key": "k"}, "secret"),
        ({"location": "s3://b/p", "secret": "hunter2"}, "key"),
        ({"location": "s3://b/p", "endpoint_url": "http://k:hunter2@host:1"}, "endpoint_url"),
        ({"location": "s3://b/p", "endpoint_url": "host:9000"}, "endpoint_url"),
        ({"location": "s3://k:hunter2@b/p"}, "bucket"),
    ],
)
def test_a_location_that_cannot_be_is_refused_by_name(fields: dict[str, Any], says: str) -> None:
    with pytest.raises((ConfigurationError, ValidationError)) as caught:
        CheckpointStore(**fields)
    assert isinstance(caught.value, ConfigurationError)
    assert says in str(caught.value)
    assert "hunter2" not in str(caught.value)


def test_neither_text_nor_dump_shows_the_secret(store: CheckpointStore) -> None:
    if store.secret is None:
        store = CheckpointStore(location="s3://b/p", key="k", secret=cast(Any, "hunter2"))
    assert store.secret is not None
    secret = store.secret.get_secret_value()
    assert secret not in f"{store!r} {store} {store.model_dump_json()} {store.backend.place}"
    assert as_arguments(store)["secret"] == secret


def test_a_folder_is_found_through_a_file_url(tmp_path: Path) -> None:
    store = CheckpointStore(location=tmp_path.as_uri())
    asyncio.run(store.write("a b", b"x"))
    assert (tmp_path / "a b").read_bytes() == b"x"
