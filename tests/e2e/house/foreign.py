#!/usr/bin/python3
"""An RTSP camera of another make: GStreamer's gst-rtsp-server with a moving picture, Basic authentication.

    foreign.py USER PASSWORD [PATH=ENCODER ...]

Without more it has one stream, /cam. Prints its port on standard output and ends with its standard input.
"""
import sys

import gi

gi.require_version("Gst", "1.0")
gi.require_version("GstRtspServer", "1.0")
from gi.repository import GLib, Gst, GstRtspServer  # noqa: E402

USER, PASSWORD = sys.argv[1], sys.argv[2]
SOURCE = "videotestsrc is-live=true pattern=smpte horizontal-speed=3 ! video/x-raw,width=640,height=360,framerate=15/1"
ORDINARY = (
    "x264enc tune=zerolatency speed-preset=ultrafast bitrate=400 key-int-max=30"
    " ! video/x-h264,profile=baseline ! rtph264pay config-interval=1"
)
STREAMS = dict(a.split("=", 1) for a in sys.argv[3:]) or {"/cam": ORDINARY}

Gst.init(None)
server = GstRtspServer.RTSPServer()
server.set_address("127.0.0.1")
server.set_service("0")
auth = GstRtspServer.RTSPAuth()
token = GstRtspServer.RTSPToken()
token.set_string("media.factory.role", USER)
auth.add_basic(GstRtspServer.RTSPAuth.make_basic(USER, PASSWORD), token)
server.set_auth(auth)
permissions = GstRtspServer.RTSPPermissions()
permissions.add_permission_for_role(USER, "media.factory.access", True)
permissions.add_permission_for_role(USER, "media.factory.construct", True)
for path, encoder in STREAMS.items():
    factory = GstRtspServer.RTSPMediaFactory()
    factory.set_launch(f"( {SOURCE} ! {encoder} name=pay0 pt=96 )")
    factory.set_shared(True)
    factory.set_permissions(permissions)
    server.get_mount_points().add_factory(path, factory)
server.attach(None)
print(server.get_bound_port(), flush=True)
loop = GLib.MainLoop()
GLib.io_add_watch(sys.stdin.fileno(), GLib.IO_IN | GLib.IO_HUP, lambda *_: loop.quit())
loop.run()
