"""What this plugin offers: Jiangxi (36), its legacy dialects; gateways and policy are added by their own modules."""

from __future__ import annotations

from adapter_core.province.policy import Policy
from adapter_core.province.province import CONTRACT, Province
from his_adapter_jiangxi.dialect import fuzhou, neusoft
from his_adapter_jiangxi.gateway import jiangxi, jiangxi_vendor

PROVINCE = Province(
    name="jiangxi",
    title="江西省",
    version="0.1.0",
    contract=CONTRACT,
    regions=("36",),
    dialects={"jiangxi-neusoft": neusoft, "jiangxi-fuzhou": fuzhou},
    gateways={"jiangxi": jiangxi, "jiangxi-vendor": jiangxi_vendor},
    policy=Policy(),
    evidence={
        "jiangxi": "E：省平台 CSB；是否必须签到没有公开",
        "jiangxi-vendor": "N：厂商异地平台（中公网一类）的字段、编码、报文都没有公开；只有传输，全部由配置给出",
    },
    not_supported=(
        "东软：9110 签退、1500 待遇封锁、2210/2240 登记、2320 撤销明细、2430 撤销结算（没有可依据的报文次序）",
        "抚州：DJ01–DJ22 登记与明细、JS06 撤销、JS13–JS17（没有可依据的报文次序）",
        "厂商异地平台（中公网一类）自己的报文：没有公开，网关 jiangxi-vendor 只传国家标准 JSON",
        "吉安、赣州 ZRHosJK.dll（助记码，无标记）；上饶 ylbxdyjk.dll（按位置的 C 函数）",
    ),
)
