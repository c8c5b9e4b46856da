// The button to speak. Held, it records as long as it is held; pressed shortly, until it is pressed
// again, for those who cannot hold. The space bar and Enter do the same, and Escape discards.
import { $, put, show } from "/page/dom.js";
import { clock, t } from "/page/language.js";
import { Recorder, obstacle, openMicrophone, reason } from "/page/recorder.js";
import { announce, clear, notice } from "/page/status.js";

// Shorter than this is a press, longer is a hold.
const HOLD = 400;

// Shorter than this nobody has said anything.
const LEAST = 0.4;

// Seconds after which nobody holds the button on purpose.
const MOST = 300;

// Who lets go before the browser has asked and been answered does not speak any more.
const PATIENCE = 1500;

const now = { state: "idle", recorder: undefined, pressed: false, keyed: false, pointed: -1000, since: 0, timer: undefined };
let settings;

// said({ recording, name }) gets what was said; scene shows the voice.
export function talkButton(given) {
  settings = given;
  const button = $("talk");
  button.addEventListener("pointerdown", (event) => {
    if (event.button !== 0) return;
    button.setPointerCapture(event.pointerId);
    press();
  });
  for (const kind of ["pointerup", "pointercancel"]) {
    button.addEventListener(kind, () => {
      now.pointed = performance.now();
      release();
    });
  }
  // A long press on a phone opens a menu otherwise.
  button.addEventListener("contextmenu", (event) => event.preventDefault());
  // Only a screen reader's or a script's click comes without a pointer or a key: it toggles.
  const alone = () => !now.keyed && performance.now() - now.pointed > 500;
  button.addEventListener("click", (event) => event.detail === 0 && alone() && toggle());
  $("discard").addEventListener("click", discard);
  addEventListener("keydown", keyDown);
  addEventListener("keyup", keyUp);
  // A page that is put away must not go on listening unseen.
  document.addEventListener("visibilitychange", () => document.hidden && now.state === "recording" && finish());
  addEventListener("pagehide", discard);
}

const typing = (element) => element.closest?.("input, textarea, select, button, summary, a, dialog, [contenteditable]");

function keyDown(event) {
  if (event.key === "Escape" && now.state !== "idle") return discard();
  const ours = event.target === $("talk") ? event.key === " " || event.key === "Enter" : event.key === " " && !typing(event.target);
  if (!ours || event.ctrlKey || event.metaKey || event.altKey) return undefined;
  event.preventDefault();
  if (event.repeat || now.keyed) return undefined;
  now.keyed = true;
  return press();
}

function keyUp(event) {
  if (!now.keyed || (event.key !== " " && event.key !== "Enter")) return;
  event.preventDefault();
  release();
  // The click that the browser makes of the key comes after keyup.
  setTimeout(() => (now.keyed = false));
}

function press() {
  now.pressed = true;
  if (now.state === "recording") {
    now.since = 0; // The second press of two short ones: its release ends the recording.
    return undefined;
  }
  now.since = performance.now();
  return start();
}

function release() {
  if (!now.pressed) return;
  now.pressed = false;
  const held = now.since === 0 || performance.now() - now.since > HOLD;
  if (now.state === "recording" && held) finish();
}

function toggle() {
  if (now.state === "recording") return finish();
  now.since = performance.now();
  return start();
}

async function start() {
  if (now.state !== "idle") return;
  clear();
  const why = obstacle();
  if (why) return refuse(why);
  now.state = "asking";
  const asked = performance.now();
  let stream;
  try {
    stream = await openMicrophone();
  } catch (error) {
    now.state = "idle";
    return refuse(reason(error));
  }
  const late = performance.now() - asked > PATIENCE && !now.pressed;
  if (now.state !== "asking" || late) return tooLate(stream);
  return record(stream);
}

function tooLate(stream) {
  for (const track of stream.getTracks()) track.stop();
  now.state = "idle";
  announce(t("microphoneReady"));
  notice(t("microphoneReady"));
}

function record(stream) {
  try {
    now.recorder = new Recorder(stream, () => now.state === "recording" && finish());
  } catch {
    for (const track of stream.getTracks()) track.stop();
    now.state = "idle";
    return refuse("unsupported");
  }
  now.state = "recording";
  document.body.classList.add("recording");
  $("talk").setAttribute("aria-pressed", "true");
  show($("taking"), true);
  announce(t("recording"));
  settings.scene.listen(() => now.recorder?.level() ?? 0);
  now.timer = setInterval(tick, 200);
  return tick();
}

function tick() {
  const seconds = now.recorder.seconds();
  put($("clock"), clock(seconds));
  // The level is read here, too: a scene that does not move still has to know whether there was sound.
  now.recorder.level();
  if (seconds > MOST) finish();
}

function rest() {
  clearInterval(now.timer);
  document.body.classList.remove("recording");
  $("talk").setAttribute("aria-pressed", "false");
  show($("taking"), false);
  settings.scene.rest();
  const recorder = now.recorder;
  Object.assign(now, { state: "idle", recorder: undefined });
  return recorder;
}

async function finish() {
  const recorder = rest();
  const seconds = recorder.seconds();
  const silent = recorder.silent();
  if (seconds < LEAST) {
    recorder.discard();
    return notice(t("tooShort"));
  }
  const said = await recorder.stop();
  if (silent || said.recording.size === 0) return refuse("silentMicrophone");
  return settings.said(said);
}

function discard() {
  if (now.state === "asking") now.state = "idle";
  if (now.state !== "recording") return;
  rest().discard();
  announce(t("discarded"));
  $("talk").focus({ preventScroll: true });
}

function refuse(why) {
  const place = why === "insecure" ? { here: location.port ? `:${location.port}` : "" } : {};
  notice(t(why, place));
}
