"""What this plugin offers: Zhejiang (33), its two legacy dialects, its current gateway and the two legacy ones."""

from __future__ import annotations

from adapter_core.province.province import CONTRACT, Province
from his_adapter_zhejiang.dialect import insigma
from his_adapter_zhejiang.gateway import zhejiang, zhejiang_insigma, zhejiang_siinterface
from his_adapter_zhejiang.policy import POLICY
from his_adapter_zhejiang.siinterface import siinterface

PROVINCE = Province(
    name="zhejiang",
    title="浙江省",
    version="0.1.0",
    contract=CONTRACT,
    regions=("33",),
    dialects={"zhejiang-insigma": insigma, "zhejiang-siinterface": siinterface},
    gateways={
        "zhejiang": zhejiang,
        "zhejiang-insigma": zhejiang_insigma,
        "zhejiang-siinterface": zhejiang_siinterface,
    },
    policy=POLICY,
    evidence={
        "zhejiang": "E：x-ca 签名有公开的算例；收到报文的接收方代码由配置给出",
        "zhejiang-insigma": "E：43 查询、49 退费是推断",
        "zhejiang-siinterface": "E：09、10 的参数次序没有公开，由医院配置",
    },
    not_supported=(
        "网新恩普：27/28 挂号、31 有卡作废、32–42 住院与转诊、58/71/74 目录、80–83 体检（没有公开的参数次序）",
        "SiInterface：13 余额（回复次序没有公开）；09、10 的参数次序要由医院配置",
    ),
)
