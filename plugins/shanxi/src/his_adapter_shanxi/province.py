"""What this plugin offers: Shanxi (14), the DBLIB dialect and centre, the national gateway by settings."""

from __future__ import annotations

from adapter_core.province.province import CONTRACT, Province
from his_adapter_shanxi.dialect import dblib
from his_adapter_shanxi.gateway import shanxi, shanxi_dblib
from his_adapter_shanxi.policy import POLICY

PROVINCE = Province(
    name="shanxi",
    title="山西省",
    version="0.1.0",
    contract=CONTRACT,
    regions=("14",),
    dialects={"shanxi-dblib": dblib},
    gateways={"shanxi": shanxi, "shanxi-dblib": shanxi_dblib},
    policy=POLICY,
    evidence={
        "shanxi": "N：地址、请求头、签名都没有公开",
        "shanxi-dblib": "E：参数表中间有缺；退费所指的单据号是推断",
    },
    not_supported=(
        "网关 shanxi（国家接口）：地址、请求头、签名都没有公开依据，全部由配置给出",
        "DBLIB：住院登记与结算（regType 的取值、TreatInfoEntry 的参数没有公开）",
        "DBLIB：ChangePinEx 改密；异地（旧接口里没有）",
        "DBLIB：结算查询（没有这样的函数，结果未知由人核定）",
    ),
)
