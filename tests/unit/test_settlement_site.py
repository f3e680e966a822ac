"""The gateway of a site: what the plugin declares holds until the site's configuration says otherwise."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pluggy
import pytest

from adapter_core.bootstrap.site import site_gateway
from adapter_core.config import Config, Settings
from adapter_core.province.capabilities import Capabilities
from adapter_core.province.gateway import Gateway, Site
from adapter_core.province.host import Plugins
from adapter_core.province.national import NationalGateway, national
from adapter_core.province.province import CONTRACT, Province
from adapter_core.values.errors import ConfigError

DECLARED = Capabilities(late_commit_s=1200.0, query_lag_s=90.0, query_after_unknown="by_visit")


def slow(site: Site) -> Gateway:
    return NationalGateway("slow", site, national(site).profile, capabilities=DECLARED)


def built(timers: dict[str, Any], **gateway: Any) -> Gateway:
    institution = {"fixmedins_code": "H1", "fixmedins_name": "测试医院", "admdvs": "360100"}
    settings = Settings(institution=institution, gateway={"kind": "slow", "url": "http://x", **gateway}, timers=timers)  # type: ignore[arg-type]
    province = Province("slow", "慢", "1", CONTRACT, gateways={"slow": slow})
    return site_gateway(Config(settings, Path()), Plugins(pluggy.PluginManager("adapter_core"), [province]))


def test_what_a_gateway_declares_with_evidence_holds() -> None:
    assert built({}).capabilities == DECLARED
    assert built({"sync_wait": 3.0}).capabilities == DECLARED


def test_a_site_overrides_one_by_one() -> None:
    made = built({"late_commit": 700.0, "money_deadline": 20.0}, query_after_unknown="none").capabilities
    assert (made.late_commit_s, made.money_deadline_s, made.query_lag_s) == (700.0, 20.0, 90.0)
    assert made.query_after_unknown == "none"


@pytest.mark.parametrize("timers", [{"late_commit": 30.0}, {"money_deadline": 1200.0}])
def test_a_late_commit_shorter_than_the_wait_for_a_reply_is_refused(timers: dict[str, float]) -> None:
    with pytest.raises(ConfigError, match="late_commit"):
        built(timers)
