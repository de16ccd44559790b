# SPDX-License-Identifier: Apache-2.0
"""The vendors of other packages: the good ones are used, and the others break nothing."""

from __future__ import annotations

import logging
import re
import sys

import pytest

from airflow_import_progress import connection_forms
from airflow_import_progress.cli.arguments import parser
from airflow_import_progress.hooks.lucca import LuccaHook
from airflow_import_progress.sandbox import Sandbox, registry
from airflow_import_progress.testing import ImportSandbox
from airflow_import_progress.vendor import Argument, ImportProgressHook, Kind, VendorInfo
from airflow_import_progress.vendor_info import installed_vendors

HEAD = "from airflow_import_progress.vendor import Argument, Kind, VendorInfo\n"
KIND = "Kind(name={name!r}, description='d', sensor='acme:S', identifier=Argument(name='job_id', help={help!r}){more})"
SANDBOX = """
from airflow_import_progress.sandbox.vendor import Vendor

class Acme(Vendor):
    name = {name!r}
    kinds = ("job",)
    credentials = {{"token": "t"}}
    def routes(self): return {routes}
    async def import_id(self, request): return None
    def is_authorized(self, request, credentials): return True
    async def unauthorized(self, request): raise NotImplementedError
    @staticmethod
    def progress_in(answer): return None
    def airflow_connection(self, credentials): return {{"conn_type": "acme"}}
"""


@pytest.fixture
def install(tmp_path, monkeypatch):
    """Return a function that installs a distribution with a module and an entry point."""
    monkeypatch.syspath_prepend(tmp_path)

    def install(module, code, *, attribute="VENDOR", group="airflow_import_progress.vendors"):
        (tmp_path / f"{module}.py").write_text(code)
        metadata = tmp_path / f"{module}-1.0.dist-info"
        metadata.mkdir()
        (metadata / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {module}\nVersion: 1.0\n")
        (metadata / "entry_points.txt").write_text(f"[{group}]\nit = {module}:{attribute}\n")
        for cached in (registry._read, connection_forms._declared_by_other_packages):
            cached.cache_clear()

    before = set(sys.modules)
    yield install
    for name in set(sys.modules) - before:
        if name.startswith("acme"):
            del sys.modules[name]
    for cached in (registry._read, connection_forms._declared_by_other_packages):
        cached.cache_clear()


@pytest.fixture
def warnings(caplog):
    caplog.set_level(logging.WARNING, "airflow_import_progress.vendor_info")
    return lambda: [record.getMessage() for record in caplog.records]


def kind(name="acme", help_text="the id", more=""):
    return KIND.format(name=name, help=help_text, more=more)


def with_kinds(*kinds):
    return f"{HEAD}VENDOR = VendorInfo(kinds=({', '.join(kinds)},))\n"


def with_sandbox(name="acme", routes="()"):
    return f"{HEAD}VENDOR = VendorInfo(sandbox='acme_sandbox:Acme')\n", SANDBOX.format(name=name, routes=routes)


def test_a_vendor_of_another_package_is_found(install, warnings):
    install("acme", with_kinds(kind()))
    (installed,) = installed_vendors()
    assert installed.distribution == "acme"
    assert [kind.name for kind in installed.info.kinds] == ["acme"]
    assert warnings() == []


@pytest.mark.parametrize(
    ("code", "reason"),
    [
        ("import missing_module", "ModuleNotFoundError: No module named 'missing_module'"),
        ("VENDOR = 1 / 0", "ZeroDivisionError"),
        ("VENDR = None", "has no attribute 'VENDOR'"),
        ("VENDOR = {'kinds': ()}", "it is not a VendorInfo, but dict"),
        (f"{HEAD}VENDOR = VendorInfo(kinds=['acme'])", "TypeError: kinds must be a tuple of Kind"),
    ],
    ids=["import", "defect", "attribute", "type", "kinds"],
)
def test_a_broken_entry_point_is_reported_with_its_distribution_and_breaks_no_other(install, warnings, code, reason):
    install("acme", code)
    install("acme_good", with_kinds(kind()))
    assert [installed.distribution for installed in installed_vendors()] == ["acme_good"]
    (warning,) = warnings()
    assert reason in warning
    assert "of the distribution 'acme' is left out" in warning
    assert "Update or uninstall this distribution" in warning


def test_a_broken_entry_point_is_reported_on_the_standard_error_of_the_command(install, capfd):
    install("acme", "import missing_module")
    logger = logging.getLogger("airflow_import_progress.vendor_info")
    # As in a process that has not configured logging.
    logger.propagate, logger.handlers = False, [logging.lastResort]
    try:
        parser().parse_args(["watch", "lucca-leave", "x"])
    finally:
        logger.propagate, logger.handlers = True, []
    captured = capfd.readouterr()
    assert "of the distribution 'acme' is left out" in captured.err
    assert captured.out == ""


# The command ------------------------------------------------------------------------------------------------


def test_a_kind_of_another_package_can_be_watched(install):
    install("acme", with_kinds(kind(more=", options=(Argument(name='min_records', read=int, help='h'),)")))
    options = parser().parse_args(["watch", "acme", "job-1", "--min-records", "3"])
    assert (options.watched.sensor, options.job_id, options.min_records) == ("acme:S", "job-1", 3)


@pytest.mark.parametrize(
    ("bad", "reason"),
    [
        (kind("lucca-leave"), "another kind has this name"),
        (kind(more=", options=(Argument(name='timeout', help='h'),)"), "conflicting option string"),
        (kind(help_text="50 %"), "incomplete format|badly formed|unsupported format"),
    ],
    ids=["taken", "option", "help"],
)
def test_a_kind_that_cannot_be_used_is_reported_and_breaks_no_other(install, warnings, capsys, bad, reason):
    install("acme", with_kinds(bad, kind("acme-good")))
    parsed = parser()
    assert parsed.parse_args(["watch", "acme-good", "x"]).watched.name == "acme-good"
    assert parsed.parse_args(["watch", "lucca-leave", "x"]).watched.sensor.startswith("airflow_import_progress.")
    with pytest.raises(SystemExit):
        parsed.parse_args(["watch", "--help"])
    assert "acme-good" in capsys.readouterr().out
    (warning,) = warnings()
    assert re.search(reason, warning)
    assert "of the distribution 'acme'" in warning


def test_of_two_kinds_of_the_same_name_the_first_distribution_has_it(install, warnings):
    install("acme_b", with_kinds(kind()))
    install("acme_a", with_kinds(kind()))
    parser()
    (warning,) = warnings()
    assert "The kind of import 'acme' of the distribution 'acme_b' is left out" in warning


# The sandbox ------------------------------------------------------------------------------------------------


def install_sandbox(install, **options):
    info, code = with_sandbox(**options)
    install("acme", info)
    install("acme_sandbox", code, group="none")


def test_a_vendor_of_another_package_is_simulated(install):
    install_sandbox(install)
    with Sandbox() as sandbox:
        assert sandbox.airflow_connection("acme")["conn_type"] == "acme"
        assert sandbox.create_import("acme", "job", import_id="x") == "x"


@pytest.mark.parametrize(
    ("options", "reason"),
    [
        ({"name": "lucca"}, "another simulated vendor is named 'lucca'"),
        ({"name": "acme-crm"}, "must consist of letters, digits and underscores"),
        ({"routes": "1 / 0"}, "ZeroDivisionError"),
        ({"routes": "None"}, "TypeError"),
    ],
    ids=["taken", "name", "defect", "type"],
)
def test_a_simulated_vendor_that_cannot_be_used_is_reported_and_breaks_no_other(install, warnings, options, reason):
    install_sandbox(install, **options)
    with Sandbox() as sandbox:
        assert sandbox.airflow_connection("lucca")["conn_type"] == "lucca"
    (warning,) = warnings()
    assert reason in warning
    assert "The simulated vendor 'acme_sandbox:Acme' of the distribution 'acme' is left out" in warning


def test_a_simulated_vendor_that_does_not_exist_is_reported(install, warnings):
    install("acme", with_sandbox()[0])
    assert {vendor.name for vendor in registry.vendors()} == {"lucca", "rocketchat", "zilliz", "leadsy"}
    assert "ModuleNotFoundError: No module named 'acme_sandbox'" in warnings()[0]


def test_the_fixture_for_tests_names_the_reason_why_a_vendor_is_left_out(install):
    install_sandbox(install, routes="1 / 0")
    install("acme_broken", "import missing_module")
    with ImportSandbox() as sandbox, pytest.raises(AttributeError, match="simulates no vendor 'acme'") as caught:
        sandbox.vendor("acme")
    assert "The simulated vendor 'acme_sandbox:Acme' of the distribution 'acme' is left out: ZeroDivisionError" in (
        str(caught.value)
    )
    assert "of the distribution 'acme_broken' is left out: ModuleNotFoundError" in str(caught.value)


@pytest.mark.parametrize("path", ["acme_sandbox", "acme_sandbox.Acme", "a b:C", 3])
def test_the_path_of_a_simulated_vendor_has_a_module_and_a_class(path):
    with pytest.raises(TypeError, match="path of a class"):
        VendorInfo(sandbox=path)


def test_a_vendor_info_cannot_be_changed():
    info = VendorInfo(kinds=(Kind(name="a", description="d", sensor="m:S", identifier=Argument(name="i", help="h")),))
    with pytest.raises(AttributeError):
        info.kinds = ()


# The form ---------------------------------------------------------------------------------------------------

PROVIDER = """
from airflow_import_progress.vendor import connection_type, shared_conn_fields

def get_provider_info():
    return {"package-name": "acme", "name": "Acme", "description": "", "connection-types": [
        connection_type("acme", hook="HOOK", name="Acme", labels={"password": "Token"}, placeholders={},
                        fields={"region": {"label": "Region", "schema": {"type": "string"}}, **shared_conn_fields()})]}
"""


def acme_hook(base=ImportProgressHook, conn_type="acme"):
    return type("AcmeHook", (base,), {"conn_type": conn_type, "__module__": "acme_hooks"})


def test_the_form_of_a_hook_of_another_package_is_that_of_its_provider(install):
    code = PROVIDER.replace("HOOK", "acme_hooks.AcmeHook")
    install("acme", code, attribute="get_provider_info", group="apache_airflow_provider")
    hook_class = acme_hook()
    # Airflow before 3.2 looks into the class itself.
    assert {"get_ui_field_behaviour", "get_connection_form_widgets"} <= set(vars(hook_class))
    assert hook_class.get_ui_field_behaviour()["relabeling"]["password"] == "Token"
    assert hook_class.get_ui_field_behaviour()["hidden_fields"] == ["login", "extra"]
    pytest.importorskip("flask_appbuilder", reason="only Airflow before 3.2 builds its form from widgets")
    assert list(hook_class.get_connection_form_widgets())[:2] == ["region", "import_page"]


def test_a_provider_that_cannot_be_read_breaks_no_form_of_another_one(install):
    install("acme_broken", "import missing_module", attribute="get_provider_info", group="apache_airflow_provider")
    code = PROVIDER.replace("HOOK", "acme_hooks.AcmeHook")
    install("acme", code, attribute="get_provider_info", group="apache_airflow_provider")
    assert acme_hook().get_ui_field_behaviour()["relabeling"]["password"] == "Token"


def test_a_hook_that_no_provider_declares_has_the_plain_form():
    assert acme_hook().get_ui_field_behaviour() == {}


def test_a_subclass_of_a_hook_of_this_package_has_its_form():
    assert acme_hook(LuccaHook, "lucca").get_ui_field_behaviour() == LuccaHook.get_ui_field_behaviour()


def test_the_metadata_of_providers_is_loaded_only_when_airflow_asks_for_a_form(install):
    install("acme", "import missing_module", attribute="get_provider_info", group="apache_airflow_provider")
    connection_forms._declared_by_other_packages.cache_clear()
    acme_hook()
    assert connection_forms._declared_by_other_packages.cache_info().currsize == 0
