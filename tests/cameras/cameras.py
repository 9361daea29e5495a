#!/usr/bin/python3
"""Test cameras: a real RTSP server that repeats clips for ever, byte for byte, on an unbroken clock.

    cameras.py [--address 127.0.0.1] [--port 0] [--user U --password P [--basic]] NAME=CLIP.mp4...

Each NAME is a camera of its own at rtsp://ADDRESS:PORT/NAME; several may show the same clip, and a camera's viewers
share its one stream. A camera begins at its clip's first picture when its first viewer comes. The login is Digest unless
--basic is given. Prints the URLs, one a line, then READY.

Commands, one a line on standard input, each answered by one line (`ok COMMAND...` or `error SENTENCE`):

    stall NAME             send nothing, keep connections open: as a camera that hangs
    resume NAME            go on at the next key frame, with the time that has passed; also ends `lose`
    lose NAME P            drop each packet list (a slice or an audio frame) with probability P, leaving holes in RTP's numbers
    kill NAME              end the stream in RTP's way (BYE), keep connections open
    drop NAME              close the connections of this camera's viewers
    switch NAME CLIP.mp4   show another clip from the end of this loop on. With the same codec the stream goes on, with the
                           new parameter sets in it; else it is dropped and comes back changed
    clock NAME             answers `clock NAME frame=N loop=L unix_us=T`: the picture sent last, and when

Ends with its standard input or on SIGTERM, so that no test that dies leaves cameras behind.
Needs Debian's python3-gi, hence /usr/bin/python3.
"""

import argparse
import heapq
import math
import os
import pathlib
import random
import signal
import sys
import threading
import time

sys.path.insert(0, str(pathlib.Path(__file__).parent))
import mp4  # noqa: E402

try:
    import gi

    for name in ("Gst", "GstRtsp", "GstRtspServer"):
        gi.require_version(name, "1.0")
    from gi.repository import GLib, Gst, GstRtsp, GstRtspServer
except (ImportError, ValueError) as error:
    sys.exit(f"the test cameras need GStreamer's RTSP server: run `make setup` ({error})")

SECOND = 1_000_000_000


class Clip:
    """A clip in memory: caps for the payloaders and the items of one loop, in the order in which they are sent."""

    def __init__(self, path):
        file = mp4.Mp4(path)
        video, audio = file.track("video"), file.track("audio")
        self.codec = video.entries[0].codec
        if self.codec not in ("h264", "h265"):
            sys.exit(f"{path}: video codec {self.codec}; test cameras show H.264 and H.265")
        self.period = video.duration
        if audio and audio.duration != self.period:
            sys.exit(f"{path} does not loop: its video lasts {self.period} s, its audio {audio.duration} s")
        # Lengths before the NAL units and not start codes: nothing has to search the bytes for where a unit ends.
        layout = {"h264": "avc", "h265": "hvc1"}[self.codec]
        config = video.entries[0].config.hex()
        self.video_caps = (
            f"video/x-{self.codec},stream-format={layout},alignment=au,codec_data=(buffer){config}"
        )
        self.audio_caps = None
        # (time in the loop, "v" or "a", picture number, bytes, key frame)
        self.items = [(s.decode, "v", n, access_unit(file, s), s.sync) for n, s in enumerate(video.samples)]
        if audio:
            entry = audio.entries[0]
            self.audio_caps = (
                "audio/mpeg,mpegversion=(int)4,stream-format=raw,"
                f"rate={entry.rate},channels={entry.channels},codec_data=(buffer){entry.audio_config.hex()}"
            )
            self.items += [(s.decode, "a", n, file.bytes_of(s), True) for n, s in enumerate(audio.samples)]
        self.items.sort(key=lambda item: item[:3])

    def launch(self):
        payloader = {"h264": "rtph264pay", "h265": "rtph265pay"}[self.codec]
        source = "appsrc is-live=true format=time max-bytes=0"
        line = f'( {source} name=v caps="{self.video_caps}" ! {payloader} name=pay0 pt=96 config-interval=0 mtu=1400 '
        if self.audio_caps:
            line += f'{source} name=a caps="{self.audio_caps}" ! rtpmp4gpay name=pay1 pt=97 mtu=1400 '
        return line + ")"


def access_unit(file, sample):
    """The access unit as the camera sends it: the parameter sets stand before each key frame."""
    data = file.bytes_of(sample)
    if sample.sync:
        sets, size = sample.entry.parameter_sets, sample.entry.length_size
        data = b"".join(len(unit).to_bytes(size, "big") + unit for unit in sets) + data
    return data


class Camera(GstRtspServer.RTSPMediaFactory):
    """One mount. Its state is touched by the feeder's thread, the main loop and the commands: always under `lock`."""

    def __init__(self, name, clip, feeder):
        super().__init__()
        self.name, self.clip, self.next_clip, self.feeder = name, clip, None, feeder
        self.lock = threading.RLock()
        self.feed = None
        self.stalled = self.wait_for_key = False
        self.loss = 0.0
        self.last = None
        self.set_shared(True)
        self.set_latency(0)
        self.set_protocols(GstRtsp.RTSPLowerTrans.TCP | GstRtsp.RTSPLowerTrans.UDP)
        self.set_launch(clip.launch())
        self.connect("media-configure", self.on_media)

    def on_media(self, _factory, media):
        with self.lock:
            if self.next_clip and self.next_clip.codec == self.clip.codec:
                self.clip, self.next_clip = self.next_clip, None
            self.feed = Feed(self, media)
            self.stalled = self.wait_for_key = False
        media.connect("unprepared", self.on_gone, self.feed)
        self.feeder.add(self.feed)

    def on_gone(self, _media, feed):
        with self.lock:
            feed.over = True
            if self.feed is feed:
                self.feed = None

    def viewers(self, server):
        """The connections with a session that plays this camera."""
        found = []
        server.client_filter(lambda _server, client: self.keep_viewer(client, found))
        return found

    def keep_viewer(self, client, found):
        client.session_filter(lambda _client, session: self.find_media(client, session, found))
        return GstRtspServer.RTSPFilterResult.KEEP

    def find_media(self, client, session, found):
        matched = session.get_media("/" + self.name)
        if (matched[0] if isinstance(matched, tuple) else matched) is not None:
            found.append(client)
        return GstRtspServer.RTSPFilterResult.KEEP


class Feed:
    """One run of a camera's stream, from its first viewer's arrival to its last one's leaving."""

    def __init__(self, camera, media):
        self.camera, self.clip, self.over = camera, camera.clip, False
        self.element = media.get_element()
        self.sources = {n: self.element.get_by_name(n) for n in ("v", "a")}
        self.payloaders = [p for p in map(self.element.get_by_name, ("pay0", "pay1")) if p]
        self.probes = []
        self.loop = self.at = 0
        self.begun = self.running_time = None
        self.loop_began = 0  # media time, exact

    def due(self):
        """When the next item is to be sent, by the monotonic clock; None while the pipeline is not running yet."""
        if self.begun is None and not self.begin():
            return None
        return self.begun + float(self.loop_began + self.clip.items[self.at][0])

    def begin(self):
        _, state, _ = self.element.get_state(0)
        clock = self.element.get_clock()
        if state != Gst.State.PLAYING or clock is None:
            return False
        # Whole milliseconds are whole ticks of both clocks (90 and 48 kHz): RTP's times then carry no rounding.
        now = max(0, clock.get_time() - self.element.get_base_time())
        self.running_time = now // 1_000_000 * 1_000_000
        self.begun = time.monotonic()
        self.set_loss(self.camera.loss)
        return True

    def push(self):
        """Sends the next item. -> False when the stream is over."""
        camera = self.camera
        at, kind, number, data, key = self.clip.items[self.at]
        shown = self.running_time + math.ceil((self.loop_began + at) * SECOND)
        with camera.lock:
            silent = camera.stalled or self.over
            if not silent and camera.wait_for_key:
                silent = not (kind == "v" and key)
                camera.wait_for_key = silent
            if not silent and kind == "v":
                camera.last = (number, self.loop, time.time_ns() // 1000)
        if not silent:
            buffer = Gst.Buffer.new_wrapped(data)
            buffer.pts = buffer.dts = shown
            if not key:
                buffer.set_flags(Gst.BufferFlags.DELTA_UNIT)
            if self.sources[kind].emit("push-buffer", buffer) != Gst.FlowReturn.OK:
                return False
        self.at += 1
        return self.at < len(self.clip.items) or self.next_loop()

    def next_loop(self):
        self.at, self.loop, self.loop_began = 0, self.loop + 1, self.loop_began + self.clip.period
        camera = self.camera
        with camera.lock:
            clip, camera.next_clip = camera.next_clip, None
            if clip is None:
                return True
            goes_on = clip.codec == self.clip.codec and clip.audio_caps == self.clip.audio_caps
            camera.clip = self.clip = clip
            camera.set_launch(clip.launch())
        if goes_on:
            self.sources["v"].set_property("caps", Gst.Caps.from_string(clip.video_caps))
        else:
            GLib.idle_add(drop, camera)
        return goes_on

    def end(self):
        self.over = True
        for source in filter(None, self.sources.values()):
            source.emit("end-of-stream")

    def set_loss(self, probability):
        for pad, probe in self.probes:
            pad.remove_probe(probe)
        self.probes = []
        if probability:
            kinds = Gst.PadProbeType.BUFFER | Gst.PadProbeType.BUFFER_LIST
            for pad in (payloader.get_static_pad("src") for payloader in self.payloaders):
                self.probes.append((pad, pad.add_probe(kinds, lose, probability)))


def lose(_pad, _info, probability):
    return Gst.PadProbeReturn.DROP if random.random() < probability else Gst.PadProbeReturn.OK


class Feeder(threading.Thread):
    """Sends for all cameras from one thread: sixteen threads would wake each other over Python's lock."""

    def __init__(self):
        super().__init__(daemon=True)
        self.changed, self.new = threading.Condition(), []

    def add(self, feed):
        with self.changed:
            self.new.append(feed)
            self.changed.notify()

    def run(self):
        waiting, heap, order = [], [], 0
        while True:
            with self.changed:
                until = heap[0][0] - time.monotonic() if heap else None
                if waiting:
                    until = min(until or 0.002, 0.002)
                if not self.new and (until is None or until > 0):
                    self.changed.wait(until)
                waiting, self.new = waiting + self.new, []
            for feed in [f for f in waiting if f.over or f.due() is not None]:
                waiting.remove(feed)
                order += 1
                heapq.heappush(heap, (feed.due() or 0, order, feed))
            while heap and heap[0][0] <= time.monotonic():
                _, key, feed = heapq.heappop(heap)
                if not feed.over and feed.push():
                    heapq.heappush(heap, (feed.due(), key, feed))


def drop(camera):
    """Ends the stream for all its viewers; a later one gets a new stream."""
    for client in camera.viewers(SERVER):
        client.close()
    return False


def obey(line, cameras):
    """Runs one command and returns its answer. Called in the main loop."""
    word, *rest = line.split(maxsplit=2)
    if not rest or rest[0] not in cameras:
        return f"error no such camera: {' '.join(rest[:1]) or 'none named'}"
    camera, more = cameras[rest[0]], rest[1] if len(rest) > 1 else None
    with camera.lock:
        feed = camera.feed
        if word == "clock":
            if camera.last is None:
                return f"error {camera.name} has sent nothing yet"
            return "clock {} frame={} loop={} unix_us={}".format(camera.name, *camera.last)
        if word == "stall":
            camera.stalled = True
        elif word == "resume":
            camera.wait_for_key, camera.stalled, camera.loss = camera.stalled, False, 0.0
        elif word == "lose" and more:
            camera.loss = float(more)
        elif word == "kill":
            if feed:
                feed.end()
        elif word == "drop":
            pass
        elif word == "switch" and more:
            camera.next_clip = Clip(more)
            if not feed:
                camera.clip, camera.next_clip = camera.next_clip, None
                camera.set_launch(camera.clip.launch())
        else:
            return f"error not a command: {line}"
    # Outside the lock: closing and probing take GStreamer's own locks, which its threads hold while they call us.
    if word == "drop":
        drop(camera)
    if word in ("resume", "lose") and feed:
        feed.set_loss(camera.loss)
    return f"ok {line}"


def read_commands(cameras):
    def answer(line):
        try:
            text = obey(line, cameras)
        except (OSError, ValueError, mp4.BadMp4, SystemExit) as error:
            text = f"error {error}"
        print(text, flush=True)
        return False

    for line in sys.stdin:
        if line.strip():
            GLib.idle_add(answer, line.strip())
    os._exit(0)


def require_login(server, options):
    token = GstRtspServer.RTSPToken()
    token.set_string("media.factory.role", "viewer")
    auth = GstRtspServer.RTSPAuth()
    if options.basic:
        auth.set_supported_methods(GstRtsp.RTSPAuthMethod.BASIC)
        auth.add_basic(GstRtspServer.RTSPAuth.make_basic(options.user, options.password), token)
    else:
        auth.set_supported_methods(GstRtsp.RTSPAuthMethod.DIGEST)
        auth.add_digest(options.user, options.password, token)
    server.set_auth(auth)


def permit(camera):
    permissions = GstRtspServer.RTSPPermissions()
    for what in ("media.factory.access", "media.factory.construct"):
        permissions.add_permission_for_role("viewer", what, True)
    camera.set_permissions(permissions)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--port", default="0", help="0 takes a free one")
    parser.add_argument("--address", default="127.0.0.1", help="where to listen")
    parser.add_argument("--user")
    parser.add_argument("--password", default="")
    parser.add_argument("--basic", action="store_true", help="Basic instead of Digest")
    parser.add_argument("cameras", nargs="+", metavar="NAME=CLIP.mp4")
    options = parser.parse_args()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: os._exit(0))
    Gst.init(None)
    feeder, clips, cameras = Feeder(), {}, {}
    SERVER.set_address(options.address)
    SERVER.set_service(options.port)
    if options.user:
        require_login(SERVER, options)
    for given in options.cameras:
        name, _, path = given.partition("=")
        try:
            clips[path] = clips.get(path) or Clip(path)
        except (OSError, ValueError, mp4.BadMp4) as error:
            sys.exit(f"camera {name}: {error}")
        cameras[name] = Camera(name, clips[path], feeder)
        if options.user:
            permit(cameras[name])
        SERVER.get_mount_points().add_factory("/" + name, cameras[name])
    if SERVER.attach(None) == 0:
        sys.exit(f"port {options.port} is taken")
    for name in cameras:
        print(f"rtsp://{options.address}:{SERVER.get_bound_port()}/{name}", flush=True)
    print("READY", flush=True)
    feeder.start()
    threading.Thread(target=read_commands, args=(cameras,), daemon=True).start()
    # Python sees signals only between its own steps, which the main loop must make now and then.
    GLib.timeout_add(200, lambda: True)
    GLib.timeout_add_seconds(5, lambda: SERVER.get_session_pool().cleanup() >= 0)
    GLib.MainLoop().run()


SERVER = GstRtspServer.RTSPServer()

if __name__ == "__main__":
    main()
