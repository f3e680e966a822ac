"""Writes ``flows.json``: the functions of a Node-RED flow are JavaScript inside JSON, which nobody should edit by hand."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

READ_JSON = """
const asked = msg.payload;  // http in has parsed it
const rows = asked.input.feedetail || [];
const cents = rows.reduce((sum, row) => sum + Math.round(Number(row.det_item_fee_sumamt) * 100), 0);
const claimed = (asked.input.data || {}).medfee_sumamt;
if (rows.length && claimed !== undefined && cents !== Math.round(Number(claimed) * 100)) {
    msg.statusCode = 422; msg.payload = "the lines do not add up"; return [null, msg];
}
const number = (flow.get("number") || 0) + 1; flow.set("number", number);
msg.asked = asked;
msg.msgid = asked.fixmedins_code + new Date().toISOString().replace(/[^0-9]/g, "").slice(0, 14) + String(number % 10000).padStart(4, "0");
msg.body = JSON.stringify({...asked, msgid: msg.msgid});
msg.topic = "INSERT INTO journal (msgid, step, body) VALUES ($msgid, $step, $body)";
msg.payload = {$msgid: msg.msgid, $step: "INTENT", $body: msg.body};
msg.params = msg.payload;
return [msg, null];
"""
READ_SOAP = """
const text = msg.payload.match(/<[^>]*>([^<]*&lt;[^<]*)<\\//)[1]
    .replace(/&lt;/g, "<").replace(/&gt;/g, ">").replace(/&quot;/g, '"').replace(/&amp;/g, "&");
const asked = {};
for (const found of text.matchAll(/<(\\w+)>([^<]*)<\\/\\1>/g)) { asked[found[1]] = found[2]; }
const number = (flow.get("number") || 0) + 1; flow.set("number", number);
msg.asked = asked;
msg.msgid = "H44000000001" + new Date().toISOString().replace(/[^0-9]/g, "").slice(0, 14) + String(number % 10000).padStart(4, "0");
msg.body = JSON.stringify({infno: "2304", msgid: msg.msgid, mdtrtarea_admvs: "440800", insuplc_admdvs: asked.yab060,
    recer_sys_code: "FSI_LOCAL", infver: "V1.0", opter_type: "1", opter: asked.aae011 || "", fixmedins_code: "H44000000001",
    input: {data: {psn_no: asked.aac001 || "", mdtrt_cert_type: "02", mdtrt_cert_no: asked.aac044 || "", med_type: "21",
    medfee_sumamt: Number(asked.akc264 || "186.50"), psn_setlway: "01", mdtrt_id: asked.ykc700 || "", acct_used_flag: "1",
    insutype: "310", invono: "", mid_setl_flag: "0"}}});
msg.topic = "INSERT INTO journal (msgid, step, body) VALUES ($msgid, $step, $body)";
msg.payload = {$msgid: msg.msgid, $step: "INTENT", $body: msg.body};
msg.params = msg.payload;
return msg;
"""
SEND = """
msg.payload = msg.body; msg.headers = {"content-type": "application/json"}; delete msg.params; return msg;
"""
KEEP = """
msg.reply = msg.payload; delete msg.headers;
msg.topic = "INSERT INTO journal (msgid, step, body) VALUES ($msgid, $step, $body)";
msg.payload = {$msgid: msg.msgid, $step: "REPLY", $body: msg.reply}; msg.params = msg.payload;
return msg;
"""
TELL_JSON = """
const answer = JSON.parse(msg.reply);
if (answer.output && answer.output.setlinfo) { answer.output.setlinfo.medins_setl_id = msg.asked.msgid; }
msg.payload = JSON.stringify(answer); msg.headers = {"content-type": "application/json"}; msg.statusCode = 200; return msg;
"""
TELL_SOAP = """
const info = JSON.parse(msg.reply).output.setlinfo;
const inner = "<result><transid>" + msg.msgid + "</transid><errorcode>0</errorcode><errormsg></errormsg><output>"
    + "<akc264>" + info.medfee_sumamt + "</akc264><akb068>" + info.fund_pay_sumamt + "</akb068><akb066>" + info.acct_pay + "</akb066>"
    + "<yzz139>" + info.psn_part_amt + "</yzz139><ykc618>" + info.setl_id + "</ykc618><ykc675>" + (msg.asked.ykc675 || "") + "</ykc675></output></result>";
msg.payload = '<?xml version="1.0" encoding="UTF-8"?><soapenv:Envelope xmlns:soapenv="http://schemas.xmlsoap.org/soap/envelope/"><soapenv:Body>'
    + '<ns:STYDJKServiceResponse xmlns:ns="http://pojo.webservice.service.ybdy.sinobest.cn"><ns:return>'
    + inner.replace(/&/g, "&amp;").replace(/</g, "&lt;").replace(/>/g, "&gt;")
    + '</ns:return></ns:STYDJKServiceResponse></soapenv:Body></soapenv:Envelope>';
msg.headers = {"content-type": "text/xml; charset=utf-8"}; msg.statusCode = 200; return msg;
"""


def node(kind: str, name: str, wires: list[list[str]], **more: Any) -> dict[str, Any]:
    # without a place on the canvas a node counts as configuration
    return {"id": name, "type": kind, "z": "flow", "name": name, "x": 100, "y": 100, "wires": wires, **more}


def chain(prefix: str, path: str, read: str, tell: str) -> list[dict[str, Any]]:
    def named(part: str) -> str:
        return f"{prefix}-{part}"

    refused = [[named("intent")], [named("answer")]] if prefix == "json" else [[named("intent")]]
    return [
        node("http in", named("in"), [[named("read")]], url=path, method="post", upload=False),
        node("function", named("read"), refused, func=read, outputs=len(refused)),
        node("sqlite", named("intent"), [[named("send")]], mydb="journal", sqlquery="msg.topic"),
        node("function", named("send"), [[named("post")]], func=SEND, outputs=1),
        node(
            "http request",
            named("post"),
            [[named("keep")]],
            method="POST",
            ret="txt",
            url="${BENCH_CENTRE}",
            persist=True,
        ),
        node("function", named("keep"), [[named("reply")]], func=KEEP, outputs=1),
        node("sqlite", named("reply"), [[named("tell")]], mydb="journal", sqlquery="msg.topic"),
        node("function", named("tell"), [[named("answer")]], func=tell, outputs=1),
        node("http response", named("answer"), []),
    ]


def flows() -> list[dict[str, Any]]:
    return [
        {"id": "flow", "type": "tab", "label": "adapter"},
        {"id": "journal", "type": "sqlitedb", "db": "${BENCH_JOURNAL}", "mode": "RWC"},
        node("http in", "ready-in", [["ready-answer"]], url="/readyz", method="get", upload=False),
        node("http response", "ready-answer", []),
        *chain("json", "/fsi/api", READ_JSON, TELL_JSON),
        *chain("soap", "/his/guangdong-soap", READ_SOAP, TELL_SOAP),
    ]


if __name__ == "__main__":
    Path(__file__).with_name("flows.json").write_text(json.dumps(flows(), indent=1) + "\n", "utf-8")
