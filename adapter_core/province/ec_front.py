"""The electronic credential's front end where a province has one on HTTP: a code from the patient's telephone into a person.

It is no national transaction: no envelope, no ``infcode``.  A reply is ``{"code", "message", "data": {…}}``; a refusal says
``"success": false``.  The code is read once and kept nowhere.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from adapter_core.formats.json import read_json, write_json
from adapter_core.province.messages import Mark, Reply
from adapter_core.values.content import Content
from adapter_core.values.errors import TranslationError
from adapter_core.values.frames import Frame

ELECTRONIC = "01"
"""``mdtrt_cert_type`` of an electronic credential; its ``mdtrt_cert_no`` is the token."""
FIELDS = {
    "userName": "psn_name",
    "idNo": "certno",
    "idType": "psn_cert_type",
    "insuOrg": "insuplc_admdvs",
    "ecToken": "mdtrt_cert_no",
}


@dataclass(frozen=True, slots=True)
class EcFront:
    """One institution's front end.  path: appended to its address.  org: the institution's code as the front end knows it."""

    path: str
    org: str

    def encode(self, business: str, operator: tuple[str, str], office: tuple[str, str]) -> Frame:
        """The request that has the code read.  business: e.g. ``01101``; operator and office: id and name."""
        data = {
            "orgId": self.org,
            "businessType": business,
            "operatorId": operator[0],
            "operatorName": operator[1],
            "officeId": office[0],
            "officeName": office[1],
        }
        body = write_json({"data": data, "transType": "ec.query", "orgId": self.org})
        return Frame(path=self.path, headers=(("Content-Type", "application/json;charset=utf-8"),), body=body)

    def decode(self, frame: Frame) -> Reply:
        """The person the code stands for, in ``person``; a refusal with the front end's own words.  Never raises for bytes
        from outside."""
        try:
            tree = read_json(frame.body)
        except TranslationError as error:
            return Reply(Mark.UNREADABLE, error.code, "电子凭证前置没有返回 JSON")
        if not isinstance(tree, dict) or frame.status not in (None, 200):
            return Reply(Mark.UNREADABLE, text="不是电子凭证前置的回复")
        code, text = str(tree.get("code", "")), str(tree.get("message") or "")
        if tree.get("success") is False or code not in ("0", ""):
            return Reply(Mark.REFUSED, code, text)
        person = _person(tree.get("data"))
        if code != "0" or "mdtrt_cert_no" not in person:
            return Reply(Mark.UNREADABLE, code, "回复中没有返回码或电子凭证令牌")
        return Reply(Mark.OK, code, text, {"person": {"mdtrt_cert_type": ELECTRONIC, **person}})


def _person(data: Any) -> Content:
    if not isinstance(data, dict):
        return {}
    return {ours: str(data[theirs]) for theirs, ours in FIELDS.items() if data.get(theirs)}
