"""What this plugin offers: Sichuan (51) and Chongqing (50), the Yinhai dialect and the national gateways."""

from __future__ import annotations

from adapter_core.province.province import CONTRACT, Province
from his_adapter_sichuan_chongqing.dialect import yinhai
from his_adapter_sichuan_chongqing.gateway import chongqing, sichuan, sichuan_library
from his_adapter_sichuan_chongqing.policy import POLICY

PROVINCE = Province(
    name="sichuan_chongqing",
    title="四川省、重庆市",
    version="0.1.0",
    contract=CONTRACT,
    regions=("50", "51"),
    dialects={"sichuan-yinhai": yinhai},
    gateways={"sichuan": sichuan, "sichuan-library": sichuan_library, "chongqing": chongqing},
    policy=POLICY,
    evidence={
        "sichuan": "E：地址；没有见到签名",
        "sichuan-library": "E：函数名和参数次序",
        "chongqing": "E2：函数、返回值和接收方代码",
    },
    not_supported=(
        "银海 48 门诊结算的回复没有公开：请求能读，结算在动钱之前被拒绝",
        "银海 02、04、05a、21–23、31、42、51–91（元素没有公开）；没有表头的制表符文本回复",
        "四川 yh_CHS_call 的另一种 JSON（tran_no、data、local_type、out_type）",
        "宜宾 本鼎 CallService_cxjb、yyjk_call（RequestParams.xml，PO_FHZ = 1）",
        "重庆 电子处方 D001–D008（SM2/SM4）",
    ),
)
