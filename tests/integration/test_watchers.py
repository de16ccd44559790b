# SPDX-License-Identifier: Apache-2.0
"""The triggers of watchers: what they report, once, across restarts of the triggerer and errors of the vendor."""

from __future__ import annotations

import asyncio
import importlib
import json
from itertools import pairwise

import pytest

from airflow_import_progress.compat import has_asset_watchers
from airflow_import_progress.compat.streams import shares_streams
from airflow_import_progress.hooks.rocketchat import RocketChatHook, RocketChatImport
from airflow_import_progress.hooks.zilliz import ZillizHook, ZillizImportJob
from airflow_import_progress.progress import ImportProgress
from airflow_import_progress.sandbox import Sandbox
from airflow_import_progress.triggers import import_end
from airflow_import_progress.triggers.rocketchat import RocketChatImportEndTrigger
from airflow_import_progress.triggers.zilliz import ZillizImportEndTrigger
from tests.support.watchers import Supervisor, Triggerer

pytestmark = pytest.mark.skipif(not has_asset_watchers(), reason="watchers from Airflow 3.0 on")

#: Seconds that no test takes.
FOR_EVER = 1_000_000.0


@pytest.fixture
def supervisor(monkeypatch):
    supervisor = Supervisor()
    task_runner = importlib.import_module("airflow.sdk.execution_time.task_runner")
    monkeypatch.setattr(task_runner, "SUPERVISOR_COMMS", supervisor, raising=False)
    return supervisor


@pytest.fixture(params=["alone", "shared"])
def shared(request):
    """Whether triggers share a stream and learn when their events are stored, as since Airflow 3.3."""
    if request.param == "shared" and not shares_streams():
        pytest.skip("from Airflow 3.3 on")
    return request.param == "shared"


@pytest.fixture
def polls(clock):
    """Return a function that returns a condition: this many polls have been made from now on."""
    # Before Airflow 3.3 a watcher also sleeps after each event.
    return lambda number: (lambda start: lambda: len(clock.slept) >= start + number)(len(clock.slept))


@pytest.fixture
def stored(supervisor):
    """Return a function that returns a condition: an import is in the record of a watcher."""
    return lambda import_id: (
        lambda: any(import_id in json.loads(record)["ended"] for record in supervisor.stored.values())
    )


@pytest.fixture(params=["zilliz v1", "zilliz v2", "milvus", "rocketchat"])
def vendor(request, running_sandbox, connect_to, supervisor, clock):
    """A vendor whose imports are watched."""
    made = {
        "zilliz v1": Zilliz("cloud", {"cluster_id": "in01-sandbox"}),
        "zilliz v2": Zilliz("cloud", {"cluster_id": "in01-sandbox", "api_version": "v2"}),
        "milvus": Zilliz("milvus", {"api_version": "v2"}),
        "rocketchat": RocketChat(),
    }[request.param]
    made.sandbox = running_sandbox
    connect_to(made.name, extra=made.extra)
    yield made
    running_sandbox.reset()


class Zilliz:
    name = "zilliz"
    trigger = ZillizImportEndTrigger

    def __init__(self, kind, extra):
        self.kind = kind
        self.extra = extra

    def start(self, **script):
        return self.sandbox.create_import(self.name, self.kind, {"duration": 0, **script})

    def progress(self, import_id):
        return ZillizHook().get_progress(ZillizImportJob(import_id))


class RocketChat:
    name = "rocketchat"
    trigger = RocketChatImportEndTrigger
    extra = {}  # noqa: RUF012

    def start(self, **script):
        return self.sandbox.create_import(self.name, "csv", {"duration": 0, **script})

    def progress(self, import_id):
        return RocketChatHook().get_progress(RocketChatImport(import_id))


def watch(scenario):
    asyncio.run(scenario())


def test_an_import_that_ends_is_reported_with_its_progress(vendor, shared, polls):
    async def scenario():
        async with Triggerer(vendor.trigger(), shared=shared) as triggerer:
            await triggerer.until(polls(1))
            import_id = vendor.start()
            await triggerer.until(lambda: triggerer.fired[0])
        (payload,) = triggerer.fired[0]
        assert ImportProgress.from_dict(payload) == vendor.progress(import_id)

    watch(scenario)


def test_an_import_that_had_ended_before_the_watcher_began_is_not_reported(vendor, shared, polls):
    vendor.start()

    async def scenario():
        async with Triggerer(vendor.trigger(), shared=shared) as triggerer:
            await triggerer.until(polls(3))
            new = vendor.start()
            await triggerer.until(lambda: triggerer.import_ids)
            assert triggerer.import_ids == [new]

    watch(scenario)


def test_an_import_that_was_under_way_when_the_watcher_began_is_reported(vendor, shared, polls):
    import_id = vendor.start(duration=1)

    async def scenario():
        async with Triggerer(vendor.trigger(), shared=shared) as triggerer:
            await triggerer.until(polls(1))
            assert triggerer.import_ids == []
            await triggerer.until(lambda: triggerer.import_ids)
            assert triggerer.import_ids == [import_id]

    watch(scenario)


def test_an_import_is_reported_once_however_often_it_is_listed(vendor, shared, polls):
    async def scenario():
        async with Triggerer(vendor.trigger(), shared=shared) as triggerer:
            await triggerer.until(polls(1))
            vendor.start()
            await triggerer.until(lambda: triggerer.import_ids)
            await triggerer.until(polls(10))
            assert len(triggerer.import_ids) == 1

    watch(scenario)


def test_a_restart_reports_no_import_again_and_those_that_ended_meanwhile(vendor, shared, polls, stored):
    async def scenario():
        async with Triggerer(vendor.trigger(), shared=shared) as triggerer:
            await triggerer.until(polls(1))
            first = vendor.start()
            await triggerer.until(stored(first))
        second = vendor.start()
        async with Triggerer(vendor.trigger(), shared=shared) as restarted:
            await restarted.until(lambda: restarted.import_ids)
            await restarted.until(polls(4))
        assert (triggerer.import_ids, restarted.import_ids) == ([first], [second])

    watch(scenario)


def test_an_event_that_died_with_the_triggerer_is_fired_again(vendor, shared, polls):
    async def scenario():
        async with Triggerer(vendor.trigger(), shared=shared, dies=True) as triggerer:
            await triggerer.until(polls(1))
            import_id = vendor.start()
            await triggerer.until(lambda: triggerer.import_ids)
        async with Triggerer(vendor.trigger(), shared=shared) as restarted:
            await restarted.until(lambda: restarted.import_ids)
        assert triggerer.import_ids == restarted.import_ids == [import_id]

    watch(scenario)


def test_an_import_that_another_triggerer_has_reported_is_not_reported(vendor, shared, supervisor, stored, polls):
    async def scenario():
        async with Triggerer(vendor.trigger(), shared=shared) as stuck:
            await stuck.until(lambda: supervisor.stored)
            (key,) = supervisor.stored
            import_id = vendor.start(duration=30)
            record = json.loads(supervisor.stored[key])
            supervisor.stored[key] = json.dumps({**record, "ended": [import_id]})
            # The watcher has not read that yet.
            await stuck.until(polls(10))
            other = vendor.start()
            await stuck.until(stored(other))
            assert stuck.import_ids == [other]
            assert json.loads(supervisor.stored[key])["ended"] == [import_id, other]

    watch(scenario)


@pytest.mark.parametrize(
    ("states", "reported"), [(None, ["good"]), (["failed"], ["bad"]), (["failed", "succeeded"], ["bad", "good"])]
)
def test_the_states_that_the_watcher_names_are_reported(vendor, shared, polls, stored, states, reported):
    async def scenario():
        trigger = vendor.trigger() if states is None else vendor.trigger(states=states)
        async with Triggerer(trigger, shared=shared) as triggerer:
            await triggerer.until(polls(1))
            imports = {}
            for name, script in (("bad", {"fail_at": 50}), ("good", {})):
                import_id = vendor.start(**script)
                imports[import_id] = name
                await triggerer.until(stored(import_id))
            assert [imports[import_id] for import_id in triggerer.import_ids] == reported

    watch(scenario)


def test_an_import_that_failed_before_the_watcher_began_is_not_reported(vendor, shared, polls):
    vendor.start(fail_at=50)

    async def scenario():
        async with Triggerer(vendor.trigger(states=["failed"]), shared=shared) as triggerer:
            await triggerer.until(polls(4))
            assert triggerer.import_ids == []

    watch(scenario)


def test_an_outage_of_the_vendor_does_not_end_the_watcher(vendor, shared, polls, logged, clock):
    async def scenario():
        async with Triggerer(vendor.trigger(), shared=shared) as triggerer:
            await triggerer.until(polls(1))
            vendor.sandbox.add_fault({"status": 503}, vendor=vendor.name, times=5)
            import_id = vendor.start()
            await triggerer.until(lambda: triggerer.import_ids)
            assert triggerer.import_ids == [import_id]
        assert "Poll failed (number 2 in a row)" in logged()

    watch(scenario)


def test_a_refused_key_is_logged_as_an_error_and_the_watcher_continues_with_the_next_key(
    vendor, shared, polls, logged, connect_to, clock
):
    async def scenario():
        connect_to(vendor.name, password="key-that-was-revoked", extra=vendor.extra)
        async with Triggerer(vendor.trigger(), shared=shared) as triggerer:
            await triggerer.until(polls(3))
            assert min(clock.slept) > 250
            connect_to(vendor.name, extra=vendor.extra)
            await triggerer.until(polls(2))
            import_id = vendor.start()
            await triggerer.until(lambda: triggerer.import_ids)
            assert triggerer.import_ids == [import_id]

    watch(scenario)
    log = logged()
    assert "No import that ends is reported until this is corrected" in log
    assert f"{vendor.name}_default" in log
    assert "key-that-was-revoked" not in log


def test_the_watcher_begins_only_when_its_record_is_stored(vendor, shared, polls, supervisor, logged):
    supervisor.refuses = ("Put", "Set")
    before = vendor.start()

    async def scenario():
        async with Triggerer(vendor.trigger(), shared=shared) as triggerer:
            await triggerer.until(polls(3))
            supervisor.refuses = ()
            await triggerer.until(lambda: supervisor.stored)
            assert json.loads(*supervisor.stored.values())["ended"] == [before]
            assert triggerer.import_ids == []

    watch(scenario)
    assert "It is tried again after the next list" in logged()


def test_a_record_that_cannot_be_read_reports_nothing_until_it_can(vendor, shared, polls, supervisor):
    async def scenario():
        async with Triggerer(vendor.trigger(), shared=shared) as triggerer:
            await triggerer.until(polls(2))
        import_id = vendor.start()
        supervisor.refuses = ("Get",)
        async with Triggerer(vendor.trigger(), shared=shared) as restarted:
            await restarted.until(polls(3))
            assert restarted.import_ids == []
            supervisor.refuses = ()
            await restarted.until(lambda: restarted.import_ids)
            assert restarted.import_ids == [import_id]

    watch(scenario)


def test_a_report_that_could_not_be_stored_is_stored_after_the_next_list(vendor, shared, polls, supervisor):
    async def scenario():
        async with Triggerer(vendor.trigger(), shared=shared) as triggerer:
            await triggerer.until(polls(2))
            supervisor.refuses = ("Put", "Set")
            import_id = vendor.start()
            await triggerer.until(lambda: triggerer.import_ids)
            await triggerer.until(polls(5))
            supervisor.refuses = ()
            await triggerer.until(lambda: import_id in json.loads(*supervisor.stored.values())["ended"])
            assert triggerer.import_ids == [import_id]

    watch(scenario)


def test_a_connection_that_leads_elsewhere_begins_anew(vendor, shared, polls, connect_to, running_sandbox, stored):
    async def scenario():
        async with Triggerer(vendor.trigger(), shared=shared) as triggerer:
            await triggerer.until(polls(1))
            first = vendor.start()
            await triggerer.until(stored(first))
        with Sandbox() as elsewhere:
            connection = elsewhere.airflow_connection(vendor.name)
            connect_to(vendor.name, **{**connection, "extra": vendor.extra})
            elsewhere.create_import(vendor.name, getattr(vendor, "kind", "csv"), {"duration": 0})
            async with Triggerer(vendor.trigger(), shared=shared) as triggerer:
                await triggerer.until(polls(3))
                new = elsewhere.create_import(vendor.name, getattr(vendor, "kind", "csv"), {"duration": 0})
                await triggerer.until(lambda: triggerer.import_ids)
                assert triggerer.import_ids == [new]

    watch(scenario)


def test_watchers_of_one_connection_share_their_polls(vendor, polls):
    if not shares_streams():
        pytest.skip("from Airflow 3.3 on")

    async def scenario():
        good, bad = vendor.trigger(), vendor.trigger(states=["failed"])
        async with Triggerer(good, bad, shared=True) as triggerer:
            await triggerer.until(polls(1))
            imports = [vendor.start(), vendor.start(fail_at=50)] if vendor.name == "zilliz" else [vendor.start()]
            await triggerer.until(lambda: len(triggerer.import_ids) == len(imports))
            assert triggerer.import_ids == imports
            (key,) = {trigger.shared_stream_key() for trigger in triggerer.triggers}
            assert set(triggerer._streams._groups) == {key}

    watch(scenario)


def test_two_assets_with_the_same_watcher_share_its_trigger(vendor, polls, supervisor, stored):
    if not shares_streams():
        pytest.skip("from Airflow 3.3 on")

    async def scenario():
        async with Triggerer(vendor.trigger(), shared=True) as triggerer:
            await triggerer.until(polls(1))
            first = vendor.start()
            await triggerer.until(stored(first))
        # Airflow makes the trigger anew with the store of an asset that has no record yet.
        async with Triggerer(vendor.trigger(), shared=True, assets=("imports", "added")) as restarted:
            second = vendor.start()
            await restarted.until(stored(second))
        assert (triggerer.import_ids, restarted.import_ids) == ([first], [second])
        assert {asset for asset, _ in supervisor.stored} == {"imports", "added"}

    watch(scenario)


def test_two_assets_with_a_trigger_each_are_both_reported_to(vendor, shared, polls):
    async def scenario():
        async with Triggerer(vendor.trigger(), shared=shared) as first:
            await first.until(polls(2))
            async with Triggerer(vendor.trigger(), shared=shared, assets=("other",), first_id=7) as second:
                await second.until(polls(4))
                import_id = vendor.start()
                await first.until(lambda: first.import_ids)
                await second.until(lambda: second.import_ids)
            assert first.import_ids == second.import_ids == [import_id]

    watch(scenario)


def test_another_interval_is_the_same_watcher(vendor, polls):
    if not shares_streams():
        pytest.skip("from Airflow 3.3 on")

    async def scenario():
        async with Triggerer(vendor.trigger(), shared=True) as triggerer:
            await triggerer.until(polls(2))
        import_id = vendor.start()
        async with Triggerer(vendor.trigger(poke_interval=30), shared=True) as changed:
            await changed.until(lambda: changed.import_ids)
        assert changed.import_ids == [import_id]

    watch(scenario)


def test_a_trigger_stores_plain_json_without_secrets(vendor):
    path, kwargs = vendor.trigger(states=["failed", "succeeded"]).serialize()
    stored = json.dumps(kwargs)
    assert vendor.sandbox.airflow_connection(vendor.name)["password"] not in stored
    assert json.loads(stored) == kwargs
    assert vendor.trigger(states=["succeeded", "failed"]).serialize() == (path, kwargs)


@pytest.mark.parametrize("states", [[], "failed", ["running"], ["done"]])
def test_states_that_no_ended_import_has_are_refused(states):
    with pytest.raises(ValueError, match="states must be"):
        RocketChatImportEndTrigger(states=states)


@pytest.mark.parametrize("poke_interval", [0, "60", True])
def test_an_interval_that_is_no_number_of_seconds_is_refused(poke_interval):
    with pytest.raises(ValueError, match="poke_interval must be"):
        RocketChatImportEndTrigger(poke_interval=poke_interval)


# Rocket.Chat


@pytest.fixture
def rocketchat(running_sandbox, connect_to, supervisor, clock):
    made = RocketChat()
    made.sandbox = running_sandbox
    connect_to("rocketchat")
    yield made
    running_sandbox.reset()


def test_an_import_that_ends_right_after_another_and_is_replaced_is_reported(rocketchat, shared, polls):
    async def scenario():
        async with Triggerer(rocketchat.trigger(poke_interval=1), shared=shared) as triggerer:
            await triggerer.until(polls(1))
            ids = []
            for _ in range(3):
                ids.append(rocketchat.start())
                await triggerer.until(polls(3))
            await triggerer.until(lambda: len(triggerer.import_ids) == 3)
            assert triggerer.import_ids == ids

    watch(scenario)


def test_a_server_before_6_3_is_watched(rocketchat, shared, polls):
    rocketchat.sandbox.change("rocketchat", before_6_3=True)

    async def scenario():
        async with Triggerer(rocketchat.trigger(), shared=shared) as triggerer:
            await triggerer.until(polls(2))
            import_id = rocketchat.start()
            await triggerer.until(lambda: triggerer.import_ids)
            assert triggerer.import_ids == [import_id]

    watch(scenario)


def test_an_import_that_died_in_a_restart_of_the_server_is_a_failed_one(rocketchat, shared, polls):
    async def scenario():
        async with Triggerer(rocketchat.trigger(states=["failed", "cancelled"]), shared=shared) as triggerer:
            await triggerer.until(polls(2))
            import_id = rocketchat.start(duration=FOR_EVER)
            await triggerer.until(polls(2))
            assert triggerer.import_ids == []
            rocketchat.sandbox.change("rocketchat", restart=True)
            await triggerer.until(lambda: triggerer.import_ids)
            assert [(payload["import_id"], payload["state"]) for payload in triggerer.fired[0]] == [
                (import_id, "failed")
            ]

    watch(scenario)


def test_a_cancelled_import_is_reported_on_request(rocketchat, shared, polls):
    async def scenario():
        async with Triggerer(rocketchat.trigger(states=["cancelled"]), shared=shared) as triggerer:
            await triggerer.until(polls(2))
            import_id = rocketchat.start(duration=FOR_EVER)
            rocketchat.sandbox.change("rocketchat", cancel=True)
            await triggerer.until(lambda: triggerer.import_ids)
            assert triggerer.import_ids == [import_id]

    watch(scenario)


# Zilliz


@pytest.fixture
def zilliz(running_sandbox, connect_to, supervisor, clock):
    made = Zilliz("cloud", {"cluster_id": "in01-sandbox"})
    made.sandbox = running_sandbox
    connect_to("zilliz", extra=made.extra)
    yield made
    running_sandbox.reset()


def test_imports_that_end_at_the_same_time_are_reported_one_after_the_other(zilliz, shared, polls):
    async def scenario():
        async with Triggerer(zilliz.trigger(), shared=shared) as triggerer:
            await triggerer.until(polls(2))
            imports = [zilliz.start() for _ in range(3)]
            await triggerer.until(lambda: len(triggerer.import_ids) == len(imports))
            gaps = [later - earlier for earlier, later in pairwise(triggerer.fired_at)]
            assert min(gaps) >= 10
            # The list is polled again before its turn. Where it is shared, this clock runs ahead of the watchers.
            assert shared or max(gaps) < 30

    watch(scenario)


def test_all_pages_of_the_list_are_read(zilliz, shared, polls):
    async def scenario():
        async with Triggerer(zilliz.trigger(), shared=shared) as triggerer:
            await triggerer.until(polls(2))
            imports = [zilliz.start() for _ in range(23)]
            await triggerer.until(lambda: len(triggerer.import_ids) >= len(imports))
            await triggerer.until(polls(4))
            assert sorted(triggerer.import_ids) == sorted(imports)

    watch(scenario)


def test_more_jobs_than_can_be_listed_are_an_error(zilliz, shared, polls, logged, monkeypatch):
    monkeypatch.setattr("airflow_import_progress.hooks.zilliz_list.MAX_LISTED_JOBS", 3)
    for _ in range(4):
        zilliz.start()

    async def scenario():
        async with Triggerer(zilliz.trigger(), shared=shared) as triggerer:
            await triggerer.until(polls(2))
            assert triggerer.import_ids == []

    watch(scenario)
    assert "too many to list again and again" in logged()


def test_a_job_whose_progress_cannot_be_read_is_reported_later(zilliz, shared, polls, logged):
    async def scenario():
        async with Triggerer(zilliz.trigger(), shared=shared) as triggerer:
            await triggerer.until(polls(2))
            zilliz.sandbox.add_fault({"status": 500}, vendor="zilliz", path_contains="/get", times=3)
            import_id = zilliz.start()
            await triggerer.until(lambda: triggerer.import_ids)
            assert triggerer.import_ids == [import_id]

    watch(scenario)
    assert "polled again after the next list" in logged()


def test_a_job_that_the_vendor_never_shows_does_not_keep_the_others_from_being_reported(zilliz, shared, supervisor):
    hidden = zilliz.start(fail_at=50)
    zilliz.sandbox.add_fault({"status": 404}, vendor="zilliz", import_id=hidden, path_contains="/get", times=None)

    async def scenario():
        async with Triggerer(zilliz.trigger(), shared=shared) as triggerer:
            await triggerer.until(lambda: supervisor.stored)
            new_hidden, new = zilliz.start(), zilliz.start()
            zilliz.sandbox.add_fault(
                {"status": 404}, vendor="zilliz", import_id=new_hidden, path_contains="/get", times=None
            )
            await triggerer.until(lambda: triggerer.import_ids)
            assert triggerer.import_ids == [new]

    watch(scenario)


def test_a_job_whose_poll_takes_long_does_not_keep_the_others_from_being_reported(zilliz, shared, polls, monkeypatch):
    monkeypatch.setattr(import_end, "MAX_POLL_TIME", 0.2)
    monkeypatch.setattr(import_end, "MAX_POLLS_TIME", 0.2)

    async def scenario():
        async with Triggerer(zilliz.trigger(), shared=shared) as triggerer:
            await triggerer.until(polls(2))
            slow = zilliz.start()
            zilliz.sandbox.add_fault({"delay": 30}, vendor="zilliz", import_id=slow, path_contains="/get", times=None)
            new = zilliz.start()
            await triggerer.until(lambda: triggerer.import_ids)
            assert triggerer.import_ids == [new]

    watch(scenario)
