"""``init``: a new site, and what to do with it next."""

from __future__ import annotations

from pathlib import Path
from urllib.parse import urlsplit

from adapter_core.cli.app import EXIT
from adapter_core.operations.site import TOKEN, NewSite, make_site
from adapter_core.values.copies import replace

LOOPBACK = ("127.0.0.1", "localhost", "::1")


def initialise(folder: Path, new: NewSite) -> int:
    """Make the site.  An address on this machine may be plain http without a reason of the hospital's own."""
    address = urlsplit(new.gateway_url)
    if address.scheme == "http" and address.hostname in LOOPBACK and not new.plain_http:
        new = replace(new, plain_http="本机地址")
    config = make_site(folder, new)
    path = folder / "his-adapter.toml"
    print(f"已建立 {path}")
    print(f"主密钥 {config.master_key_path}：请离线备份；丢失后账本无法解开")
    print(f"HIS 的令牌在 {folder / TOKEN}，以 Authorization: Bearer 发送")
    print(f"接着：his-adapter doctor --config {path}，再 his-adapter serve --config {path}")
    print(f"然后在浏览器打开 http://{config.settings.http.console}/console，用服务启动时写下的初始化码建立第一名管理员")
    return EXIT["done"]
