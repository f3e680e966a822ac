"""What this plugin offers: Shanghai (31), its V5 dialect, its two gateways."""

from __future__ import annotations

from adapter_core.province.province import CONTRACT, Province
from his_adapter_shanghai.dialect import v5
from his_adapter_shanghai.gateway import shanghai, shanghai_v5
from his_adapter_shanghai.policy import POLICY

PROVINCE = Province(
    name="shanghai",
    title="上海市",
    version="0.1.0",
    contract=CONTRACT,
    regions=("31",),
    dialects={"shanghai-v5": v5},
    gateways={"shanghai": shanghai, "shanghai-v5": shanghai_v5},
    policy=POLICY,
    evidence={
        "shanghai": "E：地址和 apikey；收到报文的接收方代码按险种",
        "shanghai-v5": "E：SI5x、SI91 的字段是推断",
    },
    not_supported=(
        "五期：S000、SE01（卡和电子凭证由读卡器或前置给出）；SH01/SH02 挂号收费、SJ11–SJH1 登记与转诊（没有公开的字段）",
        "五期：SL01 日对账的各项笔数和金额（没有公开的字段）",
        "国家前置：本地参保人的密码（cainfo，RSA）：本地参保人走五期，跨省不验密",
    ),
)
