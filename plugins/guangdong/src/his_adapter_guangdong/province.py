"""What this plugin offers: Guangdong (44), its SOAP dialect, its two gateways."""

from __future__ import annotations

from adapter_core.province.province import CONTRACT, Province
from his_adapter_guangdong.dialect import stydj
from his_adapter_guangdong.gateway import guangdong, guangdong_soap
from his_adapter_guangdong.policy import POLICY

GUANGDONG = Province(
    name="guangdong",
    title="广东省",
    version="0.1.0",
    contract=CONTRACT,
    regions=("44",),
    dialects={"guangdong-soap": stydj},
    gateways={"guangdong": guangdong, "guangdong-soap": guangdong_soap},
    policy=POLICY,
    evidence={
        "guangdong": "E：省平台 x-tif；msgid 末位只见过一位数字",
        "guangdong-soap": "E：0304 的请求、0305 的元素是推断",
    },
    not_supported=(
        "STYDJY：0212–0216 登记与出院、0301/0302 明细、0521/0522 零星门诊、0701/0707 查询、0801–0805 申报（没有公开的元素清单）",
        "STYDJY：DataExchangeServiceEnc（加密方式没有公开）",
        "x-tif：2102 药店流程",
        "广州等地市自己的本地接口",
    ),
)
