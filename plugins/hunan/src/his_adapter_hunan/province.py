"""What this plugin offers: Hunan (43), its gateway."""

from __future__ import annotations

from adapter_core.province.province import CONTRACT, Province
from his_adapter_hunan.gateway import hunan
from his_adapter_hunan.policy import POLICY

PROVINCE = Province(
    name="hunan",
    title="湖南省",
    version="0.1.0",
    contract=CONTRACT,
    regions=("43",),
    gateways={"hunan": hunan},
    policy=POLICY,
    evidence={
        "hunan": "E2：省平台",
    },
    not_supported=(
        "创智和宇 BIZC131101、131104、131110、Remote_BIZC131201–131259、bizh110001–120107：功能号 [E]，字段没有公开",
        "双向 TLS 加 desStr 的地市接口：desStr 的算法没有公开",
        "9101 上传（multipart：jsonStr + file）、文件下载",
    ),
)
