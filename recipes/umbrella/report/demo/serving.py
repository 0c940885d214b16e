"""The page is served: on this machine alone, with nothing from elsewhere."""

import os
import signal
from pathlib import Path

os.environ["GRADIO_ANALYTICS_ENABLED"] = "False"  # read when a page is built

import gradio
from starlette.middleware import Middleware
from starlette.middleware.trustedhost import TrustedHostMiddleware
from starlette.responses import PlainTextResponse
from starlette.types import ASGIApp, Receive, Scope, Send

from umbrella.options.commands.free_port import check_port
from umbrella.options.serve_arguments import HOST
from umbrella.report.demo.arguments import DemoArguments
from umbrella.report.demo.own_folders import make_own_folder
from umbrella.report.demo.viewer import list_served

IN_SPACE = "SPACE_ID" in os.environ  # set by the Hub in a Space, whose page is reached through its own proxy
STYLE = Path(__file__).parent / "page_files" / "page.css"
# A page of another host, whose name an attacker points at this machine, would else read what this one shows.
ONLY_HERE = Middleware(TrustedHostMiddleware, allowed_hosts=[HOST, "localhost"])
MOST_SESSIONS = 64  # of which Gradio keeps the state
FONTS = ("system-ui", "-apple-system", "Segoe UI", "Roboto", "sans-serif")


class NothingFromElsewhere:
    """Gradio hands out a file of another host to whoever names its address behind `file=`; this page does not."""

    def __init__(self, app: ASGIApp) -> None:
        self.app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        refused = scope["type"] == "http" and "file=http" in scope["path"].lower()
        answering = PlainTextResponse("Not found", 404) if refused else self.app
        await answering(scope, receive, send)


def use_own_folder() -> None:
    """What is sent to the page goes to a folder of this process, which is removed at its end. To be called before the
    page is built."""
    os.environ["GRADIO_TEMP_DIR"] = str(make_own_folder("sent", os.environ.get("GRADIO_TEMP_DIR")))


def make_theme() -> gradio.themes.Base:
    """Quiet colours and the fonts of the reader's own system."""
    fonts = [gradio.themes.Font(name) for name in FONTS]
    mono = [gradio.themes.Font(name) for name in ("ui-monospace", "Consolas", "monospace")]
    return gradio.themes.Soft(
        primary_hue="slate", secondary_hue="slate", neutral_hue="slate", font=fonts, font_mono=mono
    )


def serve(blocks: gradio.Blocks, asked: DemoArguments, is_waiting: bool = True) -> str:
    """Serve the page until Ctrl-C, or, where it is not waited for, until the process ends; returns its address.

    Raises ValueError for a port that is in use.
    """
    if asked.port is not None:
        check_port(HOST, asked.port)
    blocks.queue(default_concurrency_limit=None, api_open=False, max_size=64)
    _, address, _ = blocks.launch(
        server_name="0.0.0.0" if IN_SPACE else HOST,
        server_port=asked.port,
        share=False,
        quiet=True,
        prevent_thread_lock=True,
        show_error=False,
        footer_links=[],
        run_history=False,
        enable_monitoring=False,
        ssr_mode=False,
        pwa=False,
        mcp_server=False,
        num_workers=0,
        allowed_paths=list_served(),
        max_file_size=asked.max_upload_mb * 1024**2,
        state_session_capacity=MOST_SESSIONS,
        app_kwargs={"middleware": [Middleware(NothingFromElsewhere), *([] if IN_SPACE else [ONLY_HERE])]},
        theme=make_theme(),
        css_paths=STYLE,
    )
    whom = "who may open this Space" if IN_SPACE else "this machine alone"
    print(f"The page is at {address} for {whom}. Ctrl-C ends it.", flush=True)
    if is_waiting:
        signal.signal(signal.SIGTERM, signal.default_int_handler)  # ends as Ctrl-C does, its files removed
        blocks.block_thread()
    return address
