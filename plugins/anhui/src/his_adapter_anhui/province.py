"""What this plugin offers: Anhui (34), two legacy dialects and centres, the national gateway by settings."""

from __future__ import annotations

from adapter_core.province.province import CONTRACT, Province
from his_adapter_anhui.dialect import fuyang, hefei
from his_adapter_anhui.gateway import anhui, anhui_fuyang, anhui_hefei
from his_adapter_anhui.policy import POLICY

PROVINCE = Province(
    name="anhui",
    title="安徽省",
    version="0.1.0",
    contract=CONTRACT,
    regions=("34",),
    dialects={"anhui-hefei": hefei, "anhui-fuyang": fuyang},
    gateways={"anhui": anhui, "anhui-hefei": anhui_hefei, "anhui-fuyang": anhui_fuyang},
    policy=POLICY,
    evidence={
        "anhui": "N：地址、请求头、签名都没有公开",
        "anhui-hefei": "E：门诊登记、撤销的参数是推断",
        "anhui-fuyang": "E：结算、取消结算的参数与结果是推断",
    },
    not_supported=(
        "网关 anhui（国家接口）：地址、请求头、签名都没有公开依据，全部由配置给出",
        "合肥：住院（F04.06…）、工伤（F07.11…）、有效门诊号列表、公告（参数没有公开）",
        "阜阳：登记、费用上传、诊断、出院（参数归属或 XML 结构没有公开）；目录与对照",
        "东至：同类服务，进出都是 Base64（只见于注释）",
    ),
)
