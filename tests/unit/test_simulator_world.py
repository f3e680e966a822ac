"""The simulated centre's world: money laws for any bill, three explained splits and temperaments."""

from __future__ import annotations

from dataclasses import dataclass, field
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from stdnum.cn import ric

from adapter_core.simulator.benefits import FUNDS, Counters, explain
from adapter_core.simulator.people import person_from
from adapter_core.simulator.records import Answer, Asked, Settlement
from adapter_core.simulator.transactions import TRANSACTIONS, answer
from adapter_core.simulator.truth import truth_of
from adapter_core.simulator.world import World, data_table
from tests.clocks import HandClock

BEGUN = "2026-11-21 09:00:00"
SHANGHAI, JIANGXI_RESIDENT, SHANXI = "T00000000002", "T00000000003", "T00000000004"
INSUTYPE = {JIANGXI_RESIDENT: "390", "T00000000013": "390", "T00000000015": "390"}
BILL = (("XA00000001", "300.00"), ("SVC00000001", "500.00"), ("XB00000001", "400.00"), ("ZZ00000001", "50.00"))


@dataclass
class Till:
    """A hospital's till at one simulated centre."""

    care: str = "310000"
    clock: HandClock = field(default_factory=HandClock)
    sent: int = 0

    def __post_init__(self) -> None:
        self.world = World(self.clock)

    def ask(self, infno: str, msgid: str = "", **nodes: Any) -> Answer:
        self.sent += 1
        asked = Asked(infno, msgid or f"H36000000001{self.sent:06}", nodes, "H36000000001", "测试医院", self.care)
        return answer(self.world, asked)

    def temper(self, **changes: Any) -> None:
        self.world.temperament = self.world.temperament.changed(changes)

    def register(self, psn_no: str) -> str:
        told = self.ask(
            "2201",
            data={"psn_no": psn_no, "insutype": INSUTYPE.get(psn_no, "310"), "begntime": BEGUN, "ipt_otp_no": "MZ1"},
        )
        assert told.infcode == "0", told.err_msg
        return str(told.output["data"]["mdtrt_id"])

    def upload(self, psn_no: str, mdtrt_id: str, batch: str, items: Any) -> Answer:
        rows = [line(psn_no, mdtrt_id, batch, f"{batch}-{n}", code, amount) for n, (code, amount) in enumerate(items)]
        return self.ask("2204", feedetail=rows)

    def asked_to_settle(self, psn_no: str, mdtrt_id: str, batch: str, total: Any, account: str = "1") -> dict[str, Any]:
        return {
            "psn_no": psn_no, "mdtrt_cert_type": "02", "mdtrt_cert_no": "1", "med_type": "11", "psn_setlway": "01",
            "medfee_sumamt": str(total), "mdtrt_id": mdtrt_id, "chrg_bchno": batch, "acct_used_flag": account,
            "insutype": INSUTYPE.get(psn_no, "310"),
        }  # fmt: skip

    def settle(self, psn_no: str, items: Any, account: str = "1", msgid: str = "") -> Answer:
        """One whole outpatient visit."""
        mdtrt_id = self.register(psn_no)
        assert self.upload(psn_no, mdtrt_id, "B1", items).infcode == "0"
        total = sum((Decimal(amount) for _, amount in items), Decimal(0))
        return self.ask("2207", msgid, data=self.asked_to_settle(psn_no, mdtrt_id, "B1", total, account))

    def refund(self, told: Answer) -> Answer:
        setlinfo = told.output["setlinfo"]
        return self.ask("2208", data={name: setlinfo[name] for name in ("psn_no", "mdtrt_id", "setl_id")})

    def balance(self, psn_no: str) -> Decimal:
        insurance = self.world.person(psn_no).insurance(INSUTYPE.get(psn_no, "310"))
        assert insurance is not None
        return insurance.balc

    def only(self) -> Settlement:
        (one,) = self.world.settlements.values()
        return one


def line(psn_no: str, mdtrt_id: str, batch: str, sn: str, code: str, amount: str) -> dict[str, Any]:
    return {
        "feedetl_sn": sn, "mdtrt_id": mdtrt_id, "psn_no": psn_no, "chrg_bchno": batch, "med_list_codg": code,
        "medins_list_codg": "Y1", "det_item_fee_sumamt": amount, "cnt": "1", "pric": amount, "fee_ocur_time": BEGUN,
    }  # fmt: skip


def add_up(amounts: dict[str, Any]) -> None:
    """The identities of every split, whatever its sign."""
    assert amounts["fund_pay_sumamt"] == sum(amounts[fund] for fund in FUNDS)
    assert amounts["medfee_sumamt"] == amounts["fund_pay_sumamt"] + amounts["psn_part_amt"] + amounts["hosp_part_amt"]
    assert amounts["psn_part_amt"] == amounts["acct_pay"] + amounts["psn_cash_pay"]
    parts = ("fulamt_ownpay_amt", "overlmt_selfpay", "preselfpay_amt", "inscp_scp_amt")
    assert amounts["medfee_sumamt"] == sum(amounts[part] for part in parts)


PEOPLE = [row["psn_no"] for row in data_table("people")["person"]]
CODES = ("XA00000001", "XA2", "XB1", "ZA1", "SVC1", "SVCEXAM1", "MAT1", "ZZ1")
AMOUNTS = st.decimals("0.01", "60000", places=2).map(str)
BILLS = st.lists(st.tuples(st.sampled_from(CODES), AMOUNTS), min_size=1, max_size=6)
SETTLING = st.sampled_from(
    [one for one in PEOPLE if one not in ("T00000000008", "T00000000009", "T00000000010", "T00000000016")]
)


@settings(max_examples=150, deadline=None)
@given(visits=st.lists(st.tuples(SETTLING, BILLS, st.sampled_from("01")), min_size=1, max_size=4), data=st.data())
def test_any_bills_add_up_and_all_that_moved_comes_back_with_the_refunds(visits: Any, data: Any) -> None:
    till = Till(care="")
    before = {psn_no: till.balance(psn_no) for psn_no, _, _ in visits}
    told = [till.settle(psn_no, items, account) for psn_no, items, account in visits]
    for one in told:
        assert one.infcode == "0", one.err_msg
        setlinfo = one.output["setlinfo"]
        add_up(setlinfo)
        assert all(setlinfo[name] >= 0 for name in (*FUNDS, "acct_pay", "psn_cash_pay", "balc", "act_pay_dedc"))
        assert sum(row["fund_payamt"] for row in one.output["setldetail"]) == setlinfo["fund_pay_sumamt"]
    assert till.world.counters == _sums_of_the_settlements(till)
    for one in data.draw(st.permutations(told)):
        back = till.refund(one)
        assert back.infcode == "0", back.err_msg
        add_up(back.output["setlinfo"])
        assert back.output["setlinfo"]["medfee_sumamt"] == -one.output["setlinfo"]["medfee_sumamt"]
    assert set(till.world.counters.values()) <= {Counters()}
    assert all(till.balance(psn_no) == balance for psn_no, balance in before.items())


def _sums_of_the_settlements(till: Till) -> dict[Any, Counters]:
    sums: dict[Any, Counters] = {}
    for one in till.world.settlements.values():
        key = (one.visit.psn_no, one.insutype, one.split.rule.kind, "2026")
        sums[key] = sums.get(key, Counters()).plus(one.split.moved)
    return sums


def test_one_bill_gives_three_people_three_explained_splits() -> None:
    told = {}
    for psn_no, care in ((SHANGHAI, "360100"), (JIANGXI_RESIDENT, "310000"), (SHANXI, "360100")):
        till = Till(care=care)
        assert till.settle(psn_no, BILL).infcode == "0"
        told[psn_no] = till.only().split
    shares = {one: (told[one].fund_pay_sumamt, told[one].acct_pay, told[one].psn_cash_pay) for one in told}
    assert {one: tuple(map(str, row)) for one, row in shares.items()} == {
        SHANGHAI: ("305.50", "120.00", "824.50"),
        JIANGXI_RESIDENT: ("0.00", "0.00", "1250.00"),
        SHANXI: ("0.00", "150.00", "1100.00"),
    }
    assert any("个人账户先付：余额 120.00" in text for text in explain(told[SHANGHAI]))
    assert any("起付线：全年 500" in text for text in explain(told[SHANGHAI]))
    assert any("无统筹待遇" in text for text in explain(told[JIANGXI_RESIDENT]))
    assert any("个人账户：余额 150.00" in text for text in explain(told[SHANXI]))


def test_the_deductible_is_paid_once_a_year_and_again_in_the_next() -> None:
    till = Till(care="360100")
    items = (("SVC1", "400.00"),)
    dedc = [till.settle(SHANGHAI, items, "0").output["setlinfo"]["act_pay_dedc"] for _ in range(3)]
    till.clock.later(60 * 86400)
    dedc.append(till.settle(SHANGHAI, items, "0").output["setlinfo"]["act_pay_dedc"])
    assert list(map(str, dedc)) == ["400.00", "100.00", "0.00", "400.00"]


def test_a_trial_moves_nothing_and_tells_what_the_settlement_then_does() -> None:
    till = Till(care="360100")
    mdtrt_id = till.register(SHANGHAI)
    till.upload(SHANGHAI, mdtrt_id, "B1", BILL)
    asked = till.asked_to_settle(SHANGHAI, mdtrt_id, "B1", "1250.00")
    before = truth_of(till.world)
    trial = till.ask("2206", data=asked)
    assert not trial.committed
    assert truth_of(till.world) == before
    settled = till.ask("2207", "M-1", data=asked)
    changed = {
        key
        for key in settled.output["setlinfo"]
        if trial.output["setlinfo"].get(key) != settled.output["setlinfo"][key]
    }
    assert changed == {"setl_id", "medins_setl_id"}
    assert settled.output["setlinfo"]["medins_setl_id"] == "M-1"


def test_a_second_settlement_of_a_bill_is_the_temperaments_choice() -> None:
    for refuses in (False, True):
        till = Till(care="")
        till.temper(refuse_second=refuses)
        first = till.settle(SHANXI, BILL)
        asked = till.asked_to_settle(SHANXI, first.output["setlinfo"]["mdtrt_id"], "B1", "1250.00")
        second = till.ask("2207", data=asked)
        assert (second.infcode, len(till.world.settlements)) == (("-1", 1) if refuses else ("0", 2))
        till.refund(first)
        if refuses:
            assert till.ask("2207", data=asked).infcode == "0"


def test_a_repeated_msgid_happens_twice_unless_the_centre_remembers_it() -> None:
    for remembers in (False, True):
        till = Till(care="")
        till.temper(dedup_msgid=remembers)
        first = till.settle(SHANXI, BILL, msgid="M-1")
        asked = till.asked_to_settle(SHANXI, first.output["setlinfo"]["mdtrt_id"], "B1", "1250.00")
        second = till.ask("2207", "M-1", data=asked)
        assert second.committed != remembers
        assert len(till.world.settlements) == (1 if remembers else 2)
        assert (second.output == first.output) == remembers


@pytest.mark.parametrize(
    ("query", "by_visit", "by_number"), [("by_visit", "0", "0"), ("by_setl_id_only", "-1", "0"), ("none", "-1", "-1")]
)
def test_a_settlement_is_found_as_far_as_the_centre_lets_it_be(query: str, by_visit: str, by_number: str) -> None:
    till = Till(care="")
    till.temper(query=query)
    setlinfo = till.settle(SHANXI, BILL, msgid="M-1").output["setlinfo"]
    visit = {"psn_no": SHANXI, "mdtrt_id": setlinfo["mdtrt_id"]}
    found = [till.ask("5203", data=visit), till.ask("5203", data={**visit, "setl_id": setlinfo["setl_id"]})]
    assert [one.infcode for one in found] == [by_visit, by_number]
    assert all(one.output["setlinfo"]["medins_setl_id"] == "M-1" for one in found if one.infcode == "0")


def test_queries_lag_behind_and_then_see_the_settlement() -> None:
    till = Till(care="")
    till.temper(query_lag_s=60)
    visit = {"psn_no": SHANXI, "mdtrt_id": till.settle(SHANXI, BILL).output["setlinfo"]["mdtrt_id"]}
    assert till.ask("5203", data=visit).output == {}
    till.clock.later(60)
    assert till.ask("5203", data=visit).output["setlinfo"]["refd_setl_flag"] == "0"


def test_a_refund_is_found_as_a_row_of_its_own() -> None:
    till = Till(care="")
    settled = till.settle(SHANXI, BILL)
    back = till.refund(settled).output["setlinfo"]
    visit = {"psn_no": SHANXI, "mdtrt_id": back["mdtrt_id"]}
    newest = till.ask("5203", data=visit).output["setlinfo"]
    assert (newest["setl_id"], newest["refd_setl_flag"]) == (back["setl_id"], "1")
    assert newest["medfee_sumamt"] == -settled.output["setlinfo"]["medfee_sumamt"]
    first = till.ask("5203", data={**visit, "setl_id": settled.output["setlinfo"]["setl_id"]}).output["setlinfo"]
    assert (first["medfee_sumamt"], first["refd_setl_flag"]) == (Decimal("1250.00"), "1")
    assert till.refund(settled).infcode == "-1"


def test_2601_takes_a_settlement_back_as_if_it_had_never_been() -> None:
    till = Till(care="")
    setlinfo = till.settle(SHANXI, BILL, msgid="M-1").output["setlinfo"]
    wanted = {"psn_no": SHANXI, "omsgid": "M-1", "oinfno": "2207"}
    assert [till.ask("2601", data=wanted).infcode for _ in range(2)] == ["0", "0"]
    assert till.balance(SHANXI) == Decimal("150.00")
    assert till.ask("5203", data={"psn_no": SHANXI, "mdtrt_id": setlinfo["mdtrt_id"]}).output == {}
    asked = till.asked_to_settle(SHANXI, setlinfo["mdtrt_id"], "B1", "1250.00")
    assert till.ask("2207", data=asked).infcode == "0"


def test_2601_of_a_refund_lets_the_settlement_stand_again() -> None:
    till = Till(care="")
    settled = till.settle(SHANXI, BILL)
    asked = {name: settled.output["setlinfo"][name] for name in ("psn_no", "mdtrt_id", "setl_id")}
    till.ask("2208", "M-2", data=asked)
    assert till.balance(SHANXI) == Decimal("150.00")
    assert till.ask("2601", data={"psn_no": SHANXI, "omsgid": "M-2", "oinfno": "2208"}).infcode == "0"
    assert (till.only().state, till.balance(SHANXI)) == ("settled", Decimal("0.00"))


def test_2601_of_nothing_and_of_another_day_answer_by_temperament() -> None:
    till = Till(care="")
    nothing = {"psn_no": SHANXI, "omsgid": "M-9", "oinfno": "2207"}
    assert till.ask("2601", data=nothing).infcode == "0"
    till.temper(reverse_missing="error")
    assert till.ask("2601", data=nothing).infcode == "-1"
    till.settle(SHANXI, BILL, msgid="M-1")
    till.clock.later(86400)
    late = {"psn_no": SHANXI, "omsgid": "M-1", "oinfno": "2207"}
    assert till.ask("2601", data=late).infcode == "-1"
    till.temper(reverse_window="until_cleared")
    assert till.ask("2601", data={**late, "oinfno": "2304"}).infcode == "-1"
    assert till.ask("2601", data=late).infcode == "0"


@pytest.mark.parametrize(
    ("psn_no", "word"), [("T00000000010", "未办理"), ("T00000000011", "不在有效期"), ("T00000000008", "暂停")]
)
def test_people_who_cannot_settle_are_refused_in_words(psn_no: str, word: str) -> None:
    till = Till(care="360100")
    registered = till.ask("2201", data={"psn_no": psn_no, "insutype": "310", "begntime": BEGUN, "ipt_otp_no": "MZ1"})
    if registered.infcode == "0":
        mdtrt_id = registered.output["data"]["mdtrt_id"]
        till.upload(psn_no, mdtrt_id, "B1", BILL)
        registered = till.ask("2206", data=till.asked_to_settle(psn_no, mdtrt_id, "B1", "1250.00"))
    assert (registered.infcode, word in registered.err_msg) == ("-1", True), registered.err_msg


def test_a_person_is_found_by_every_credential_and_shows_every_insurance() -> None:
    till = Till()
    for credential in ("110101190001010000", "T0000001", "T00000000001", "ECTEST0000000001"):
        told = till.ask("1101", data={"mdtrt_cert_type": "03", "mdtrt_cert_no": credential, "psn_name": "测试甲"})
        assert told.output["baseinfo"]["psn_no"] == "T00000000001"
    two = till.ask("1101", data={"mdtrt_cert_type": "02", "mdtrt_cert_no": "330402197501010000"})
    assert [row["insutype"] for row in two.output["insuinfo"]] == ["310", "390"]
    wrong = till.ask("1101", data={"mdtrt_cert_type": "02", "mdtrt_cert_no": "T0000001", "psn_name": "测试乙"})
    assert wrong.infcode == "-1"


def test_fee_lines_are_keyed_and_protected_by_a_settlement() -> None:
    till = Till(care="")
    mdtrt_id = till.register(SHANXI)
    assert till.upload(SHANXI, mdtrt_id, "B1", BILL).infcode == "0"
    assert till.upload(SHANXI, mdtrt_id, "B1", BILL).infcode == "0"
    assert len(till.world.visits[mdtrt_id].lines) == len(BILL)
    assert till.upload(SHANXI, mdtrt_id, "B1", (("SVC1", "1.00"),)).infcode == "-1"
    wrong = till.ask("2206", data=till.asked_to_settle(SHANXI, mdtrt_id, "B1", "1250.01"))
    assert "1250.00" in wrong.err_msg
    whole = {"psn_no": SHANXI, "mdtrt_id": mdtrt_id, "chrg_bchno": "0000"}
    assert till.ask("2207", data=till.asked_to_settle(SHANXI, mdtrt_id, "B1", "1250.00")).infcode == "0"
    assert till.ask("2205", data=whole).infcode == "-1"
    assert till.ask("2202", data={**whole, "ipt_otp_no": "MZ1"}).infcode == "-1"
    till.refund(Answer("0", output={"setlinfo": {**whole, "setl_id": till.only().setl_id}}))
    assert till.ask("2205", data=whole).infcode == "0"
    assert till.ask("2202", data={**whole, "ipt_otp_no": "MZ1"}).infcode == "0"


def test_a_seeded_stay_settles_and_a_stay_walks_from_admission_to_refund() -> None:
    till = Till(care="440300")
    asked = {
        "psn_no": "T00000000001",
        "mdtrt_id": "S000000001",
        "medfee_sumamt": "186.50",
        "insutype": "310",
        "mid_setl_flag": "0",
    }
    told = till.ask("2304", data=asked)
    assert told.output["setlinfo"]["medfee_sumamt"] == Decimal("186.50")
    assert told.output["setlinfo"]["clr_type"] == "21"

    admitted = till.ask("2401", mdtrtinfo={"psn_no": SHANGHAI, "insutype": "310", "begntime": BEGUN, "med_type": "21"})
    stay = {"psn_no": SHANGHAI, "mdtrt_id": admitted.output["result"]["mdtrt_id"]}
    sold = {**line(SHANGHAI, stay["mdtrt_id"], "", "F1", "SVC1", "3000.00"), "med_type": "21"}
    back = {
        **line(SHANGHAI, stay["mdtrt_id"], "", "F2", "SVC1", "-500.00"),
        "cnt": "-1",
        "pric": "500",
        "init_feedetl_sn": "F1",
    }
    assert till.ask("2301", feedetail=[sold, back]).infcode == "0"
    till.temper(discharge=True)
    bill = {**stay, "medfee_sumamt": "2500.00", "insutype": "310", "mid_setl_flag": "0", "acct_used_flag": "1"}
    assert till.ask("2304", data=bill).infcode == "-1"
    assert till.ask("2402", dscginfo={**stay, "endtime": BEGUN}).infcode == "0"
    settled = till.ask("2304", data=bill)
    assert settled.output["setlinfo"]["act_pay_dedc"] == Decimal("1500.00")
    assert till.ask("2405", data=stay).infcode == "-1"
    refund = {**stay, "setl_id": settled.output["setlinfo"]["setl_id"]}
    assert [till.ask(one, data=refund).infcode for one in ("2208", "2305", "2405")] == ["-1", "0", "0"]


def test_more_returned_than_sold_is_refused() -> None:
    till = Till(care="")
    stay = till.ask("2401", mdtrtinfo={"psn_no": SHANXI, "insutype": "310", "begntime": BEGUN, "med_type": "21"})
    mdtrt_id = stay.output["result"]["mdtrt_id"]
    rows = [line(SHANXI, mdtrt_id, "", "F1", "SVC1", "-5.00"), line(SHANXI, mdtrt_id, "", "F2", "ZZ1", "8.00")]
    till.ask("2301", feedetail=rows)
    bill = {"psn_no": SHANXI, "mdtrt_id": mdtrt_id, "medfee_sumamt": "3.00", "insutype": "310", "mid_setl_flag": "0"}
    assert "退费数量" in till.ask("2303", data=bill).err_msg


def test_totals_balance_when_the_institution_counts_as_the_centre_does() -> None:
    till = Till(care="")
    till.settle(SHANXI, BILL)
    till.refund(till.settle(SHANXI, BILL))
    period = {
        "insutype": "310",
        "clr_type": "11",
        "setl_optins": "140100",
        "stmt_begndate": "2026-11-21",
        "stmt_enddate": "2026-11-21",
    }

    def rslt(flag: str, medfee: str, acct: str, count: str) -> str:
        sums = {"medfee_sumamt": medfee, "fund_pay_sumamt": "0.00", "acct_pay": acct, "fixmedins_setl_cnt": count}
        told = till.ask("3201", data={**period, **sums, "refd_setl_flag": flag})
        return str(told.output["stmtinfo"]["stmt_rslt"])

    assert rslt("0", "2500.00", "150.00", "2") == "0"
    assert rslt("1", "1250.00", "0.00", "1") == "0"
    assert rslt("", "1250.00", "150.00", "3") == "0"
    assert rslt("0", "2500.00", "150.00", "1") == "1"


def test_sign_in_diagnoses_and_strict_input_are_asked_for_when_the_temperament_wants_them() -> None:
    till = Till(care="")
    till.temper(sign_in=True)
    assert "签到" in till.ask("1101", data={"mdtrt_cert_type": "02", "mdtrt_cert_no": "T0000001"}).err_msg
    assert (
        till.ask("9001", signIn={"opter_no": "T001", "mac": "0", "ip": "0"}).output["signinoutb"]["sign_no"]
        in till.world.sign_ins
    )
    till.temper(sign_in=False, diagnoses=True)
    assert "诊断" in till.settle(SHANXI, BILL).err_msg
    till.temper(diagnoses=False, strict_input=True)
    short = till.ask("2206", data={"psn_no": SHANXI, "med_type": "11"})
    assert "不合规范" in short.err_msg
    with pytest.raises(ValueError, match="query is one of"):
        till.temper(query="sometimes")


def test_a_message_that_is_refused_changes_nothing() -> None:
    till = Till(care="")
    till.settle(SHANXI, BILL)
    before = truth_of(till.world)
    for infno in TRANSACTIONS:
        told = till.ask(
            infno, data={"psn_no": SHANXI, "mdtrt_id": "M404", "omsgid": "M404", "oinfno": "2207", "setl_id": "J404"}
        )
        assert not told.committed, infno
    assert till.ask("8888").infcode == "-1"
    assert truth_of(till.world) == before


def test_ids_come_from_the_seed_alone() -> None:
    first, second, other = (World(HandClock(), seed) for seed in (7, 7, 8))
    assert first.identity("M") == second.identity("M") != other.identity("M")


def test_everybody_is_invented() -> None:
    people = [person_from(row) for row in data_table("people")["person"]]
    assert not any(ric.is_valid(person.certno) for person in people)
    assert all(person.psn_name.startswith("测试") for person in people)
    places = {row.insuplc_admdvs[:2] for person in people for row in person.insurances}
    assert places >= {"31", "32", "33", "34", "36", "14", "44"}
