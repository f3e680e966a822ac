"""Makes the OpenAPI 3.1 document from the routes, the models and the national tables.

``python -m adapter_core.sidecar.openapi [--check]`` keeps ``docs/reference/openapi.json``.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator, Mapping
from functools import cache
from importlib import metadata
from typing import Any

import msgspec
from litestar import Litestar
from litestar.openapi.config import OpenAPIConfig

from adapter_core.sidecar import account_models, models, paper_models
from adapter_core.sidecar.problems import MEDIA_TYPE
from adapter_core.sidecar.service import ROUTES
from adapter_core.standard.reference import is_fresh
from adapter_core.standard.source import PACKAGE
from adapter_core.standard.transactions import transaction

PAGE = PACKAGE.parent / "docs" / "reference" / "openapi.json"
JSON = "application/json"
ANY = "*/*"
Schema = dict[str, Any]

SECTIONS: Mapping[str, tuple[tuple[str, str], ...]] = {
    "operator": (),
    "person": (("1101", "data"), ("2201", "data")),
    "visit": (("2201", "data"), ("2203A", "mdtrtinfo"), ("2401", "mdtrtinfo")),
    "diagnoses": (("2203A", "diseinfo"),),
    "fees": (("2204", "feedetail"), ("2301", "feedetail")),
    "settle": (("2207", "data"), ("2304", "data")),
}
"""Sections of our own messages, and the national nodes whose fields they take."""
LISTS = frozenset({"diagnoses", "fees"})
OPERATOR = {"opter": 30, "opter_name": 50, "opter_type": 3, "dev_no": 100, "mac": 20, "ip": 32, "sign_no": 30}

ANSWERS: Mapping[str, tuple[Any, ...]] = {
    **dict.fromkeys(
        ("settle", "show_settlement", "settle_quoted", "cancel", "void", "acknowledge", "decide"),
        (models.SettlementAnswer, 200, 202),
    ),
    "timeline": (models.Timeline, 200),
    "list_settlements": (models.CaseList, 200),
    "events": (models.Feed, 200),
    "worklist": (models.Worklist, 200),
    **dict.fromkeys(
        (
            "register",
            "unregister",
            "upload_fees",
            "drop_fees",
            "drop_fee",
            "discharge",
            "undischarge",
            "fold_visits",
            "unfold_visits",
        ),
        (models.EncounterAnswer, 200, 202),
    ),
    "show_encounter": (models.EncounterData, 200),
    **dict.fromkeys(("hand_in_list", "show_list"), (models.ListAnswer, 200, 202)),
    "mark_list": (models.ListMarked, 200),
    "transaction": (models.TransactionAnswer, 200),
    "eligibility": (models.Eligibility, 200),
    "ask_filing": (models.FilingAnswer, 200),
    "provinces": (models.Provinces, 200),
    **dict.fromkeys(("reconcile", "show_reconciliation"), (account_models.Reconciliation, 200)),
    "accounts": (dict[str, Any], 200),
    "open_papers": (paper_models.PaperAnswer, 200),
    **dict.fromkeys(("revoke_papers", "submit_papers", "close_papers"), (paper_models.PaperState, 200)),
    "verify_papers": (paper_models.PaperVerdict, 200),
    "paper_key": (paper_models.PaperKey, 200),
    "healthz": (models.Health, 200),
    "readyz": (models.Health, 200, 503),
    **dict.fromkeys(("national", "national_plain"), (models.NationalReply, 200, 504)),
}
"""By operation: the answer's model and the statuses it comes with."""
BODIES: Mapping[str, Any] = {
    "cancel": models.Reason,
    "void": models.VoidOrder,
    "acknowledge": models.Booking,
    "decide": models.Decision,
    "ask_filing": models.FilingQuestion,
    "fold_visits": models.FoldOrder,
    "unfold_visits": models.FoldOrder,
    "hand_in_list": models.ListOrder,
    "mark_list": models.ListMark,
    "transaction": models.TransactionOrder,
    "reconcile": account_models.ReconciliationOrder,
    "accounts": account_models.AccountsOrder,
    "open_papers": paper_models.PaperOrder,
    "revoke_papers": paper_models.PaperRevocation,
    "submit_papers": paper_models.PaperSubmission,
    "close_papers": paper_models.PaperResult,
    "verify_papers": paper_models.PaperQuestion,
    "batch_papers": paper_models.BatchOrder,
    "print_receipt": paper_models.ReceiptOrder,
}
OPTIONAL_BODIES = frozenset(
    {
        "cancel",
        "acknowledge",
        "settle_quoted",
        "unregister",
        "drop_fees",
        "drop_fee",
        "discharge",
        "undischarge",
        "unfold_visits",
        "ask_filing",
        "accounts",
        "open_papers",
        "submit_papers",
        "close_papers",
        "print_receipt",
    }
)
OF_SECTIONS: Mapping[str, tuple[str, ...]] = {
    "settle": tuple(SECTIONS),
    "settle_quoted": ("person", "operator"),
    "register": ("operator", "person", "visit", "diagnoses"),
    "eligibility": ("operator", "person", "visit", "fees", "settle"),
    "upload_fees": ("operator", "diagnoses", "fees", "settle"),
    "discharge": ("operator", "visit", "diagnoses"),
    "unregister": ("operator",),
    "drop_fees": ("operator",),
    "drop_fee": ("operator",),
    "undischarge": ("operator",),
}
"""Operations whose body is made of sections."""
WAITING = frozenset(
    {
        "settle",
        "settle_quoted",
        "void",
        "register",
        "upload_fees",
        "discharge",
        "fold_visits",
        "transaction",
        "hand_in_list",
    }
)
OPEN = frozenset({"healthz", "readyz", "local_wsdl", "openapi"})
REFUSALS = {
    400: "not readable as what this path takes",
    401: "no credential, or not a known one",
    403: "known, but not allowed",
    404: "no such thing",
    409: "another case, or another state, stands in the way",
    422: "faults, each with its path",
    429: "too often; repeat the same later",
    503: "the ledger can't be written; nothing was sent; repeat the same later",
}
EVERYWHERE = {
    405: "another method",
    408: "too slow",
    413: "too large",
    414: "address too long",
    415: "compressed",
    431: "headers too large",
}


@cache
def document_bytes() -> bytes:
    """The document as served."""
    return (json.dumps(document(), ensure_ascii=False, indent=1) + "\n").encode()


def document() -> Schema:
    """The whole document."""
    title = "his-adapter"
    app = Litestar(
        route_handlers=list(ROUTES),
        openapi_config=OpenAPIConfig(title=title, version=metadata.version(title), use_handler_docstrings=True),
        logging_config=None,
    )
    made: Schema = msgspec.to_builtins(app.openapi_schema.to_schema())
    _, components = msgspec.json.schema_components(
        [
            models.Problem,
            models.StatedFiling,
            models.Newborn,
            *{answer[0] for answer in ANSWERS.values()},
            *BODIES.values(),
        ],
        ref_template="#/components/schemas/{name}",
    )
    paths = {path: item for path, item in made["paths"].items() if not path.startswith("/schema")}
    for operation in _operations(paths):
        _complete(operation)
    return {
        "openapi": made["openapi"],
        "info": {
            "title": title,
            "version": made["info"]["version"],
            "description": "Settles medical insurance beside a HIS.  Answers of docs/how-to/connect-a-his.md.",
        },
        "servers": [{"url": "http://127.0.0.1:8970"}],
        "security": [{"bearer": []}],
        "paths": dict(sorted(paths.items())),
        "components": {
            "securitySchemes": {"bearer": {"type": "http", "scheme": "bearer"}},
            "schemas": dict(sorted({**components, **_sections()}.items())),
        },
    }


def _operations(paths: Mapping[str, Mapping[str, Schema]]) -> Iterator[Schema]:
    for item in paths.values():
        for method, operation in item.items():
            if method in ("get", "post", "put", "delete"):
                yield operation


def _complete(operation: Schema) -> None:
    """Bodies, answers and refusals of one operation; the router knows its parameters."""
    name = operation["operationId"].partition("__")[0]
    operation.pop("deprecated", None)
    operation["summary"] = name.replace("_", " ")
    if name in WAITING:
        wait = {"type": "string", "pattern": r"^wait=([0-9]|1[0-9]|2[0-5])$"}
        operation.setdefault("parameters", []).append(
            {
                "name": "Prefer",
                "in": "header",
                "required": False,
                "schema": wait,
                "description": "longest wait, seconds",
            }
        )
    if "parameters" in operation:  # the router keeps them in a set
        operation["parameters"].sort(key=lambda one: (one["in"] != "path", one["name"]))
    body = _body(name)
    if body is not None:
        operation["requestBody"] = {"required": name not in OPTIONAL_BODIES, "content": body}
    if name in OPEN:
        operation["security"] = []
    operation["responses"] = _responses(name, operation["responses"])


def _body(name: str) -> Schema | None:
    if name in BODIES:
        return {JSON: {"schema": _ref(BODIES[name].__name__)}}
    if name in OF_SECTIONS:
        return {JSON: {"schema": _of_sections(name)}}
    if name in ("national", "national_plain"):
        return {JSON: {"schema": _national_request()}}
    if name == "local_message":
        raw = {"schema": {"type": "string"}}
        return {JSON: {"schema": {}}, "text/xml": raw, "application/soap+xml": raw, "text/plain": raw}
    return None


def _responses(name: str, routed: Mapping[str, Schema]) -> Schema:
    responses: Schema = {}
    if name in ANSWERS:
        model, *statuses = ANSWERS[name]
        for status in statuses:
            responses[str(status)] = {
                "description": _waiting(model) if status == 202 else "answered",
                "content": {JSON: {"schema": _ref(model.__name__)}},
            }
            if status == 202 and model is models.SettlementAnswer:
                said = {"schema": {"type": "string"}}
                responses["202"]["headers"] = {"Location": said, "Retry-After": said}
    else:
        responses["200"] = {"description": "answered", "content": {ANY: {}}}
    if name == "local_message":
        family: Schema = {"description": "told in the family's own form", "content": {ANY: {}}}
        responses.update(dict.fromkeys(("400", "500"), family))  # a failure form, a SOAP fault
    problem = {MEDIA_TYPE: {"schema": _ref("Problem")}}
    for code, text in {**REFUSALS, **EVERYWHERE}.items():
        responses.setdefault(str(code), {"description": text, "content": problem})
    return dict(sorted(responses.items()))


def _waiting(model: Any) -> str:
    if model is models.EncounterAnswer:
        return "under way, or sent and not known (STEP_UNKNOWN): the same again asks first"
    return "not decided yet: poll"


def _ref(name: str) -> Schema:
    return {"$ref": f"#/components/schemas/{name}"}


def _of_sections(name: str) -> Schema:
    key: Schema = {"type": "string", "minLength": 1, "maxLength": 64}
    properties: Schema = {"fixmedins_code": {"type": "string", "maxLength": 30}}
    if name in ("settle", "register", "eligibility"):
        properties["kind"] = {"enum": ["outpatient", "inpatient", "pharmacy"]}
        properties["insuplc_admdvs"] = {"type": "string", "pattern": r"^\d{6}$"}
    if name == "settle":
        properties.update(dict.fromkeys(("settle_key", "visit_key", "encounter_key", "supersedes"), key))
        properties["intent"] = {"enum": ["settle", "quote"]}
        properties["on_unknown"] = {"enum": ["adopt", "reverse"]}
    if name == "eligibility":
        properties.update(encounter_key=key, stated=_ref(models.StatedFiling.__name__))
    if name in ("upload_fees", "drop_fees"):
        properties["visit_key"] = key
    if name == "register":
        properties["newborn"] = _ref(models.Newborn.__name__)
    for section in OF_SECTIONS[name]:
        one = _ref(f"section_{section}")
        properties[section] = {"type": "array", "items": one} if section in LISTS else one
    schema: Schema = {"type": "object", "properties": properties}
    if name == "settle":
        schema["required"] = ["settle_key"]
    return schema


def _sections() -> Schema:
    return {f"section_{name}": _section(nodes) for name, nodes in SECTIONS.items()}


def _section(nodes: tuple[tuple[str, str], ...]) -> Schema:
    """The fields of these nodes, none of them required here: what a message leaves out, the encounter or 1101 may give."""
    properties: Schema = {}
    if not nodes:
        properties = {name: {"type": "string", "maxLength": length} for name, length in OPERATOR.items()}
    for infno, node_name in nodes:
        node = transaction(infno).node("input", node_name)
        for one in node.fields if node else ():
            if one.free_form:
                continue
            schema: Schema = {"title": one.name, "type": ["number", "string"] if one.type == "number" else "string"}
            properties.setdefault(one.code, schema)
    return {"type": "object", "properties": properties}


def _national_request() -> Schema:
    text = {"type": "string", "minLength": 1}
    return {
        "type": "object",
        "required": ["infno", "msgid", "input"],
        "properties": {
            "infno": {**text, "maxLength": 5},
            "msgid": {**text, "maxLength": 64},
            "input": {"type": "object"},
        },
    }


def main(arguments: list[str]) -> int:
    """Write the document, or with ``--check`` only compare it.  Exit codes: 0, 1 stale, 2 wrong arguments."""
    if arguments not in ([], ["--check"]):
        sys.stderr.write("usage: python -m adapter_core.sidecar.openapi [--check]\n")
        return 2
    page = document_bytes()
    if not arguments:
        PAGE.write_bytes(page)
        return 0
    if is_fresh(PAGE, page):
        return 0
    sys.stderr.write(f"{PAGE.name} is stale: run python -m adapter_core.sidecar.openapi\n")
    return 1


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
