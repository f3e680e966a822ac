"""What this plugin offers: Inner Mongolia (15), its gateway."""

from __future__ import annotations

from adapter_core.province.province import CONTRACT, Province
from his_adapter_neimenggu.gateway import neimenggu
from his_adapter_neimenggu.policy import POLICY

PROVINCE = Province(
    name="neimenggu",
    title="内蒙古自治区",
    version="0.1.0",
    contract=CONTRACT,
    regions=("15",),
    gateways={"neimenggu": neimenggu},
    policy=POLICY,
    evidence={
        "neimenggu": "E：一份公开客户端",
    },
    not_supported=(
        "cainfo（卡密码加密，用于 2102/2207/2304）：跨省没有核实，不送",
        "x-tif 请求头：源码里写了但关着",
        '4401（字段名带连字符 hcv-ab、hiv-ab，null 要写成 "0"）',
        "HeaSecReadInfo 读卡库：读卡由医院或省里的控件做，我们收它的结果",
    ),
)
