"""One message of an old interface, played as national calls on the world."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from decimal import Decimal
from typing import TYPE_CHECKING, Any

from adapter_core.province.messages import Operation
from adapter_core.simulator import settling
from adapter_core.simulator.records import Answer, Asked, NoEffect, Refund, Refusal, Settlement, Visit
from adapter_core.simulator.transactions import answer, refused
from adapter_core.simulator.world import World
from adapter_core.values.content import Content
from adapter_core.values.moments import national_time

if TYPE_CHECKING:
    from adapter_core.simulator.legacy import LegacyDoor

BATCH = "LEGACY"
"""The bill number of all lines of a legacy visit: these families settle what is not settled yet."""


@dataclass(frozen=True, slots=True)
class Target:
    """What a number of theirs, or ours, points at."""

    mdtrt_id: str = ""
    setl_id: str = ""
    msgid: str = ""
    infno: str = ""


def area_of(operation: Operation) -> str:
    return str(operation.content.get("env", {}).get("mdtrtarea_admvs", ""))


@dataclass(slots=True)
class Play:
    """One legacy message, played as national calls on the world.  ``msgid``: of the call that matters most."""

    door: LegacyDoor
    operation: Operation
    msgid: str
    world: World
    changed: bool = False

    def run(self) -> Answer:
        """The answer; ``output`` holds content sections, not national nodes."""
        try:
            output = getattr(self, f"_{self.operation.verb}", self._unknown)()
        except Refusal as refusal:
            told = refused(refusal)
            return Answer(told.infcode, told.err_msg, committed=self.changed)
        except _Refused as no:
            return Answer(no.told.infcode, no.told.err_msg, committed=self.changed)
        return Answer("0", output=output, committed=self.changed)

    # verbs

    def _sign_in(self) -> Content:
        env = self.operation.content.get("env", {})
        told = self._call("9001", {"signIn": {"opter_no": env.get("opter_no") or env.get("opter") or "0"}})
        return {"env": told["signinoutb"]}

    def _sign_out(self) -> Content:
        return {}

    def _identify(self) -> Content:
        person = {**self.operation.content.get("person", {})}
        asked = {"mdtrt_cert_no": person.get("mdtrt_cert_no") or person.get("psn_no"), **person}
        asked.pop("psn_name", None)
        if not any(asked.get(one) for one in ("mdtrt_cert_no", "certno", "psn_no")) and person.get("card_no"):
            asked["mdtrt_cert_no"] = person["card_no"]
        told = self._call("1101", {"data": asked})
        found = self.world.person(told["baseinfo"]["psn_no"])
        rows = told["insuinfo"]
        wanted = self.operation.content.get("settle", {}).get("insutype")
        chosen = next((row for row in rows if row["insutype"] == wanted), None) or next(
            (row for row in rows if row["psn_insu_stas"] == "1"), rows[0]
        )
        card = person.get("mdtrt_cert_no") or found.card_no
        both = {**told["baseinfo"], **chosen, "card_no": found.card_no, "mdtrt_cert_no": card}
        return {"person": both}

    def _register(self) -> Content:
        visit = self._visit()
        self.door.bind(self.operation, Target(visit.mdtrt_id))
        return {"visit": {"mdtrt_id": visit.mdtrt_id}, "person": {"psn_no": visit.psn_no}}

    _admit = _register

    def _upload_fees(self) -> Content:
        visit = self._visit()
        self.door.bind(self.operation, Target(visit.mdtrt_id))
        return {"visit": {"mdtrt_id": visit.mdtrt_id}, "lines": self._upload(visit)}

    def _drop_fees(self) -> Content:
        visit = self._known_visit()
        inpatient = visit.kind == "inpatient"
        named = [row["feedetl_sn"] for row in self.operation.content.get("fees", []) if row.get("feedetl_sn")]
        if named and not inpatient:  # a family that takes back a line at a time; the national 2205 takes a batch
            visit.lines = {sn: line for sn, line in visit.lines.items() if sn not in named or line.setl_id}
            return {}
        key = "feedetl_sn" if inpatient else "chrg_bchno"
        self._call("2302" if inpatient else "2205", {"data": {**_names(visit), key: "0000"}})
        return {}

    def _unregister(self) -> Content:
        visit = self._known_visit()
        self._call("2404" if visit.kind == "inpatient" else "2202", {"data": _names(visit)})
        return {}

    _unadmit = _unregister

    def _discharge(self) -> Content:
        visit = self._known_visit()
        self._call("2402", {"dscginfo": {"endtime": national_time(self.world.clock.wall()), **_names(visit)}})
        return {}

    def _undischarge(self) -> Content:
        self._call("2405", {"data": _names(self._known_visit())})
        return {}

    def _quote(self) -> Content:
        return self._money("2206", "2303")

    def _settle(self) -> Content:
        return self._money("2207", "2304")

    def _void(self) -> Content:
        target = self._target()
        if target is not None and not target.setl_id:
            target = self._standing(target)  # single families name the visit alone
        if target is None or not target.setl_id:
            return self._nothing()
        one = self.world.settlements[target.setl_id]
        if self.operation.otherwise:
            return self._reverse(target)
        infno = "2305" if one.visit.kind == "inpatient" else "2208"
        told = self._call(infno, {"data": {**_names(one.visit), "setl_id": target.setl_id}}, self.msgid)
        visit = {"mdtrt_id": one.visit.mdtrt_id}
        return {"result": told["setlinfo"], "funds": told["setldetail"], "visit": visit}

    def _standing(self, target: Target) -> Target:
        """The visit's settlement that stands, where there is one."""
        visit = self.world.visits.get(target.mdtrt_id)
        stands = [one for one in visit.settlements if one.state == "settled"] if visit is not None else []
        return Target(target.mdtrt_id, stands[-1].setl_id) if stands else target

    def _confirm(self) -> Content:
        return self._second(settling.confirm, settling.confirm_refund)

    def _abort(self) -> Content:
        return self._second(settling.abort, settling.abort_refund)

    def _second(
        self, phase: Callable[[World, Settlement], None], of_refund: Callable[[World, Settlement, Refund], None]
    ) -> Content:
        """The second phase of what the message names; of nothing, as 2601 of nothing."""
        self.world.undo_unconfirmed()
        target = self._target()
        if target is None or not target.setl_id:
            return self._nothing()
        one, refund = self.world.settlements.get(target.setl_id), self.world.prepared_refunds.get(target.setl_id)
        if one is None and refund is None:  # a refund that stood at once: there is nothing to commit or discard
            return {"visit": {"mdtrt_id": target.mdtrt_id}}
        try:
            if refund is not None:
                of_refund(self.world, *refund)
            elif one is not None:
                phase(self.world, one)
        except NoEffect:
            return {"visit": {"mdtrt_id": target.mdtrt_id}}
        self.changed = True
        return {"visit": {"mdtrt_id": target.mdtrt_id}}

    def _cancel(self) -> Content:
        target = self._target()
        return self._nothing() if target is None or not target.setl_id else self._reverse(target)

    def _reverse(self, target: Target) -> Content:
        one = self.world.settlements[target.setl_id]
        self._call("2601", {"data": {"psn_no": one.visit.psn_no, "omsgid": one.msgid, "oinfno": one.infno}})
        return {"visit": {"mdtrt_id": one.visit.mdtrt_id}}

    def _nothing(self) -> Content:
        if self.world.temperament.reverse_missing == "error":
            raise Refusal("original_missing")
        return {}

    def _query(self) -> Content:
        target = self._target()
        visit = self._known_visit()
        setl_id = target.setl_id if target else ""
        told = self._call("5203", {"data": {**_names(visit), "setl_id": setl_id}})
        result = dict(told.get("setlinfo", {}))
        for own, usual in (
            ("cash_payamt", "psn_cash_pay"),
            ("psn_pay", "psn_part_amt"),
        ):  # 5203 names two amounts otherwise
            if own in result:
                result.setdefault(usual, result[own])
        return {"result": result, "funds": told.get("setldetail", [])}

    def _unknown(self) -> Content:
        raise Refusal("unknown_infno", infno=self.operation.message)

    # what the verbs are made of

    def _money(self, outpatient: str, inpatient: str) -> Content:
        visit = self._visit()
        self._upload(visit)
        infno = inpatient if visit.kind == "inpatient" else outpatient
        settle = self.operation.content.get("settle", {})
        held = [line for line in visit.lines.values() if not line.setl_id] or list(visit.lines.values())
        total = sum((line.shares.det_item_fee_sumamt for line in held), Decimal("0.00"))
        data = {
            **_names(visit),
            "med_type": settle.get("med_type") or visit.med_type,
            "insutype": settle.get("insutype") or visit.insutype,
            "acct_used_flag": settle.get("acct_used_flag") or "1",
            "medfee_sumamt": settle.get("medfee_sumamt", total),
            "chrg_bchno": BATCH,
            "mid_setl_flag": settle.get("mid_setl_flag") or "0",
            "mdtrt_cert_type": self.operation.content.get("person", {}).get("mdtrt_cert_type", "03"),
        }
        told = self._call(infno, {"data": data}, self.msgid)
        setl_id = str(told["setlinfo"].get("setl_id", ""))
        if setl_id:
            self.door.aliases[("setl_id", setl_id)] = Target(visit.mdtrt_id, setl_id, self.msgid, infno)
        self.door.bind(self.operation, Target(visit.mdtrt_id, setl_id, self.msgid, infno))
        return {
            "result": told["setlinfo"],
            "funds": told["setldetail"],
            "visit": {"mdtrt_id": visit.mdtrt_id},
            "person": {"psn_no": visit.psn_no, "psn_name": told["setlinfo"]["psn_name"]},
        }

    def _upload(self, visit: Visit) -> list[dict[str, Any]]:
        rows = self.operation.content.get("fees", [])
        if not rows:
            return []
        inpatient = visit.kind == "inpatient"
        if self.operation.fees_whole:
            key = "feedetl_sn" if inpatient else "chrg_bchno"
            self._call("2302" if inpatient else "2205", {"data": {**_names(visit), key: "0000"}})
        sent = []
        for row in rows:
            sn = row.get("feedetl_sn") or f"{visit.mdtrt_id}-{self.world.number('line'):06}"
            sent.append({**row, **_names(visit), "feedetl_sn": sn, "chrg_bchno": BATCH})
        told = self._call("2301" if inpatient else "2204", {"feedetail": sent})
        return [*told["result"]]

    def _target(self) -> Target | None:
        named = self.operation.content.get("result", {}).get("setl_id") or self.operation.content.get(
            "settled", {}
        ).get("setl_id")
        return self.door.aliases.get(("setl_id", str(named))) if named else self.door.find(self.operation)

    def _known_visit(self) -> Visit:
        named = str(self.operation.content.get("visit", {}).get("mdtrt_id", "")) or self._ref_visit()
        target = self.door.find(self.operation)
        visit = self.world.visits.get(named or (target.mdtrt_id if target else ""))
        if visit is None:
            raise Refusal("visit_unknown")
        return visit

    def _ref_visit(self) -> str:
        """A number that is a visit's own id: what this centre's national side or its seed made."""
        return next((value for value in self.operation.refs.values() if value in self.world.visits), "")

    def _visit(self) -> Visit:
        """The visit the message names, opened now if the family opens it without saying so."""
        try:
            return self._known_visit()
        except Refusal:
            return self._opened()

    def _opened(self) -> Visit:
        content = self.operation.content
        told = self._identify()["person"]
        inpatient = self.operation.kind == "inpatient"
        common = {
            "psn_no": told["psn_no"],
            "insutype": content.get("settle", {}).get("insutype") or told["insutype"],
            "begntime": content.get("visit", {}).get("begntime") or national_time(self.world.clock.wall()),
            "ipt_otp_no": next(iter(self.operation.refs.values()), "0"),
        }
        if inpatient:
            med_type = content.get("settle", {}).get("med_type") or "21"
            opened = self._call("2401", {"mdtrtinfo": {**content.get("visit", {}), **common, "med_type": med_type}})
            return self.world.visits[opened["result"]["mdtrt_id"]]
        opened = self._call("2201", {"data": {**content.get("visit", {}), **common}})
        return self.world.visits[opened["data"]["mdtrt_id"]]

    def _two_phase(self, infno: str) -> bool:
        """Whether this family's settlements, and perhaps its refunds, wait for a confirm of their own."""
        refunds = ("2208", "2305") if self.world.temperament.two_phase_refunds else ()
        return infno in ("2207", "2304", *refunds) and any(one.verb == "confirm" for one in self.door.dialect.messages)

    def _call(self, infno: str, nodes: Mapping[str, Any], msgid: str = "") -> Content:
        env = self.operation.content.get("env", {})
        asked = Asked(
            infno=infno,
            msgid=msgid or f"{self.msgid}/{self.world.number('call')}",
            input=nodes,
            fixmedins_code=str(env.get("fixmedins_code", "")),
            fixmedins_name=str(env.get("fixmedins_name", "")),
            mdtrtarea_admvs=area_of(self.operation),
            sign_no=next(iter(self.world.sign_ins), ""),
            prepare=self._two_phase(infno),
        )
        told = answer(self.world, asked)
        if told.infcode != "0":
            raise _Refused(told)
        self.changed = self.changed or told.committed
        return {name: _present(node) for name, node in (told.output or {}).items()}


def _present(value: Any) -> Any:
    """Without what is null: content has no such thing."""
    if isinstance(value, dict):
        return {key: _present(one) for key, one in value.items() if one is not None}
    return [_present(one) for one in value] if isinstance(value, list) else value


class _Refused(Exception):
    def __init__(self, told: Answer) -> None:
        super().__init__(told.err_msg)
        self.told = told


def _names(visit: Visit) -> dict[str, str]:
    return {"mdtrt_id": visit.mdtrt_id, "psn_no": visit.psn_no}
