"""The console's parts without a service: passwords, users, figures, texts, vendored files."""

from __future__ import annotations

import hashlib
import re
import tomllib
from collections.abc import Iterator
from pathlib import Path

import pytest

from adapter_core.settlement.states import STATE_ZH, State
from adapter_core.sidecar.console import passwords
from adapter_core.sidecar.console.acts import ROUTES as ACTS
from adapter_core.sidecar.console.cases import KINDS_ZH
from adapter_core.sidecar.console.finding import FIELDS, wanted_of
from adapter_core.sidecar.console.listed import LISTS, ItemList, page_of
from adapter_core.sidecar.console.prospects import PLAIN
from adapter_core.sidecar.console.sheets import english
from adapter_core.sidecar.console.staff import FAILURES_MAX, LOCKED_S, Staff
from adapter_core.sidecar.console.today import GROUPS
from adapter_core.sidecar.console.trend import quantile
from adapter_core.values.errors import Refused, TranslationError
from tests.clocks import HandClock

ROOM = Path(passwords.__file__).parent
LOW_COST = 16


@pytest.fixture
def clock() -> HandClock:
    return HandClock()


@pytest.fixture
def staff(tmp_path: Path, clock: HandClock) -> Iterator[Staff]:
    opened = Staff(tmp_path / "console.db", clock)
    yield opened
    opened.close()


# -- passwords


@pytest.mark.parametrize(
    "password",
    ["Short-1", "alllowercaseletters", "Li-password-99", "Aa1" * 4, "Qwerty-99-long", "x" * 200 + "A1"],
)
def test_weak_passwords_are_refused(password: str) -> None:
    assert passwords.weakness(password, "li")


def test_strong_ones_and_made_ones_are_taken() -> None:
    assert passwords.weakness("Rather-long-7-words", "li") == ""
    assert passwords.weakness(passwords.first_password(), "li") == ""


def test_a_hash_fits_its_password_alone_and_is_salted() -> None:
    stored = passwords.hashed("Rather-long-7-words", LOW_COST)
    assert passwords.fits("Rather-long-7-words", stored)
    assert not passwords.fits("rather-long-7-words", stored)
    assert stored != passwords.hashed("Rather-long-7-words", LOW_COST)
    assert not passwords.fits("", "")


# -- users


def test_the_file_is_its_owners_alone(staff: Staff, tmp_path: Path) -> None:
    assert (tmp_path / "console.db").stat().st_mode & 0o077 == 0


def test_operator_auditor_and_administrator_are_never_one(staff: Staff) -> None:
    for roles, code in ((["operator", "admin"], "ROLES_SEPARATE"), ([], "BAD_ROLE"), (["his"], "BAD_ROLE")):
        with pytest.raises(Refused) as refused:
            staff.add("li", "", roles, "-", "test")
        assert refused.value.code == code
    assert staff.is_empty
    assert staff.deeds() == [], "what was refused was not done"


def test_the_last_administrator_stays(staff: Staff) -> None:
    staff.add("li", "", ["admin"], "-", "test")
    for attempt in (lambda: staff.switch("li", True, "li"), lambda: staff.give_roles("li", ["cashier"], "li")):
        with pytest.raises(Refused) as refused:
            attempt()
        assert refused.value.code == "LAST_ADMIN"
    user = staff.user("li")
    assert user is not None
    assert (user.is_off, user.roles) == (False, {"admin"})


def test_a_locked_user_waits_and_a_success_forgets_failures(staff: Staff, clock: HandClock) -> None:
    user = staff.add("li", "", ["admin"], "-", "test")
    for _ in range(FAILURES_MAX - 1):
        staff.failed("li", "-")
    staff.signed_in(user, "-")
    for _ in range(FAILURES_MAX):
        locked = staff.user("li")
        assert locked is not None
        assert not staff.is_locked(locked)
        staff.failed("li", "-")
    locked = staff.user("li")
    assert locked is not None
    assert staff.is_locked(locked)
    clock.later(LOCKED_S)
    assert not staff.is_locked(locked)


def test_a_session_ends_unused_and_at_all_and_with_another_password(staff: Staff, clock: HandClock) -> None:
    user = staff.add("li", "", ["admin"], "-", "test")
    token = staff.signed_in(user, "-")
    for _ in range(3):
        clock.later(800)
        assert staff.session(token) is not None
    clock.later(800)
    assert staff.session(token, uses=False) is not None
    clock.later(200)
    assert staff.session(token) is None, "looking without using kept nothing alive"
    token = staff.signed_in(user, "-")
    staff.set_password("li", "-", "li", must_change=False)
    assert staff.session(token) is None
    token = staff.signed_in(user, "-")
    for _ in range(60):
        clock.later(800)
        staff.session(token)
    assert staff.session(token) is None


def test_deeds_are_kept_until_the_journal_has_them(staff: Staff) -> None:
    staff.add("li", "", ["admin"], "-", "test")
    staff.failed("nobody", "10.0.0.1")
    deeds = staff.deeds()
    assert [(deed.who, deed.deed, deed.about) for deed in deeds] == [
        ("test", "USER_ADDED", "li: admin"),
        ("", "SIGN_IN_FAILED", "10.0.0.1"),
    ]
    staff.handed_over(deeds[0].ordinal)
    assert staff.deeds() == deeds[1:]


# -- figures and search


def test_quantiles_lie_within_their_bucket() -> None:
    inf = float("inf")
    assert quantile({}, 0.5) is None
    assert quantile({0.1: 0, inf: 0}, 0.5) is None
    assert quantile({0.1: 10, 0.5: 10, inf: 10}, 0.5) == pytest.approx(0.05)
    assert quantile({0.1: 50, 0.5: 100, inf: 100}, 0.95) == pytest.approx(0.46)
    assert quantile({0.1: 0, 0.5: 0, inf: 4}, 0.5) == 0.5, "beyond the last bound nothing more is known"


def test_every_state_has_its_column_once() -> None:
    placed = [state for _, states in GROUPS for state in states]
    assert sorted(placed) == sorted(set(State) - {State.DONE})


def test_a_search_needs_a_criterion_and_days_are_chinas() -> None:
    with pytest.raises(TranslationError):
        wanted_of({})
    wanted = wanted_of({"day_from": "2026-11-21", "day_to": "2026-11-21", "amount": "1,234.50"})
    assert (wanted.opened_from, wanted.opened_before) == ("2026-11-20T16:00:00Z", "2026-11-21T16:00:00Z")
    assert wanted.total_fen == 123450


def test_a_made_table_is_paged_by_its_rows() -> None:
    rows = [[f"{number:03d}", "x"] for number in range(7)]
    seen, after = [], ""
    while True:
        page, after = page_of(rows, after, 3)
        seen += [row for _, row in page]
        if not after:
            break
    assert seen == rows


# -- texts and files

CHINESE = re.compile("[\u4e00-\u9fff]")


def said() -> set[str]:
    """Every text that a page may show in both languages."""
    texts = set()
    for template in (ROOM / "templates").glob("*.html"):
        text = template.read_text("utf-8")
        texts |= set(re.findall(r'_\(\s*"([^"]+)"', text)) | set(re.findall(r"_\(\s*'([^']+)'", text))
    texts |= {title for _, title in FIELDS} | {title for title, _ in GROUPS} | set(PLAIN.values())
    texts |= {one.title for one in LISTS.values()} | set(KINDS_ZH.values()) | set(STATE_ZH.values())
    texts |= {title for one in LISTS.values() if isinstance(one, ItemList) for title, _ in one.columns}
    return {text for text in texts if CHINESE.search(text)}


def test_every_text_has_its_english() -> None:
    assert sorted(said() - set(english())) == []
    assert not [text for text in english().values() if CHINESE.search(text)]


def test_templates_hold_no_chinese_that_no_switch_reaches() -> None:
    for template in (ROOM / "templates").glob("*.html"):
        bare = re.sub(r"\{[{%].*?[%}]\}", "", template.read_text("utf-8"), flags=re.DOTALL)
        assert set(CHINESE.findall(bare)) == set(), template.name


def test_vendored_files_are_what_the_table_says() -> None:
    static = ROOM / "static"
    rows = tomllib.loads((static / "vendored.toml").read_text("utf-8"))["vendored"]
    for row in rows:
        assert hashlib.sha256((static / row["file"]).read_bytes()).hexdigest() == row["sha256"], row["file"]
        assert (static / row["licence_file"]).exists()
    known = {row["file"] for row in rows} | {"console.css", "console.js", "vendored.toml"}
    assert {file.name for file in static.iterdir() if file.is_file()} == known


def test_every_act_is_a_post() -> None:
    assert {method for route in ACTS for method in route.http_methods} == {"POST"}
