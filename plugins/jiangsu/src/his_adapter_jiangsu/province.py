"""What this plugin offers: Jiangsu (32), its provincial gateway."""

from __future__ import annotations

from adapter_core.province.province import CONTRACT, Province
from his_adapter_jiangsu.gateway import jiangsu
from his_adapter_jiangsu.policy import POLICY

PROVINCE = Province(
    name="jiangsu",
    title="江苏省",
    version="0.1.0",
    contract=CONTRACT,
    regions=("32",),
    gateways={"jiangsu": jiangsu},
    policy=POLICY,
    evidence={
        "jiangsu": "E2：省平台；infcode 取值、每次上传的行数上限没有公开",
    },
    not_supported=(
        "JSSiInterface.dll（早期省接口：inf_time 为 yyyyMMddHHmmss，2204 的根叫 feedetail，缓冲区 4096 会截断长回复）",
        "HInterface.dll、徐州 Lesybjk.dll、南京共享文件：只见于旧档案，只用来读历史",
    ),
)
