"""The place of one relayed call: its gateway sends what came, on a route made for that transaction."""

from __future__ import annotations

from dataclasses import replace

from adapter_core.province.national import NationalGateway
from adapter_core.province.relay import RelayGateway
from adapter_core.settlement.place import Place
from adapter_core.values.errors import NotSupported


def relay_place(place: Place, infno: str) -> Place:
    """Raises: NotSupported where the way out is no national gateway."""
    if not isinstance(place.gateway, NationalGateway):
        text = "本机构的医保线路不是国家接口，不能转发国家接口报文，未发送"
        raise NotSupported("the gateway speaks no national JSON", message_zh=text)
    return replace(place, gateway=RelayGateway(place.gateway, infno))
