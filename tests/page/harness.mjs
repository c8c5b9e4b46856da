// What the checks stand on: one line for each, a real Chromium with a microphone that hears a file, and a
// door between browser and gateway that can be shut.
import { existsSync, mkdtempSync } from "node:fs";
import { createRequire } from "node:module";
import net from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { execFileSync } from "node:child_process";

const { NODE_MODULES, CHROMIUM } = process.env;
const INSTALLED = ["/usr/bin/chromium-headless-shell", "/usr/bin/chromium", "/usr/bin/google-chrome"];
const found = createRequire(join(NODE_MODULES, "page.cjs"));
const { chromium } = found("playwright-core");
export const axePath = found.resolve("axe-core/axe.min.js");

// Others may use the same workers at the same time.
export const PATIENCE = 180_000;
export const DESK = { viewport: { width: 1280, height: 860 }, locale: "en-US" };
export const PHONE = { viewport: { width: 390, height: 844 }, locale: "en-US", isMobile: true, hasTouch: true, deviceScaleFactor: 1 };

// The first promise that is broken ends the run, with what the page said at that time.
export async function check(what, proof) {
  const began = Date.now();
  try {
    const detail = await proof();
    console.log(`PASS  page: ${what}  ${detail ?? ""} (${((Date.now() - began) / 1000).toFixed(1)} s)`);
  } catch (error) {
    console.log(`FAIL  page: ${what}  ${error.message}`);
    throw error;
  }
}

export function hold(truth, why) {
  if (!truth) throw new Error(why);
}

// Chromium feeds the file from the moment that the microphone is opened, and after its end repeats its
// last buffer: so a little silence before it, and some after.
// `asked` is what Chromium answers for the user when a page asks for the microphone.
export async function browserThatHears(recording, asked = "accept") {
  const wav = join(mkdtempSync(join(tmpdir(), "shanshui-page-")), "voice.wav");
  execFileSync("ffmpeg", ["-v", "error", "-i", recording, "-af", "adelay=300:all=1,apad=pad_dur=2", "-ar", "48000", "-ac", "1", wav]);
  const args = ["--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking", "--disable-component-update", "--disable-sync",
    "--use-fake-device-for-media-stream", `--use-file-for-fake-audio-capture=${wav}%noloop`,
    asked === "deny" ? "--use-fake-ui-for-media-stream=deny" : "--use-fake-ui-for-media-stream",
    // A name that is not this machine's own: pages from there get no microphone.
    "--host-resolver-rules=MAP app.test 127.0.0.1"];
  return chromium.launch({ executablePath: CHROMIUM ?? INSTALLED.find(existsSync), args });
}

// Complaints of the browser: errors of scripts, and what the Content-Security-Policy forbade. A request
// that was refused or broken is no complaint: some checks do just that.
export async function opened(browser, address, options, complaints) {
  const context = await browser.newContext(options);
  const page = await context.newPage();
  page.setDefaultTimeout(PATIENCE);
  page.on("pageerror", (error) => complaints.push(error.message));
  page.on("console", (message) => {
    if (message.type() === "error" && !message.text().startsWith("Failed to load resource")) complaints.push(message.text());
  });
  await page.goto(address);
  return page;
}

// Passes bytes on to the gateway until it is shut; then connections break and new ones are refused, as
// when a server is gone.
export async function door(address) {
  const { hostname, port } = new URL(address);
  const open = new Set();
  const server = net.createServer((from) => {
    const to = net.connect(Number(port), hostname);
    for (const [one, other] of [[from, to], [to, from]]) {
      open.add(one);
      one.on("error", () => other.destroy());
      one.on("close", () => (open.delete(one), other.destroy()));
      one.pipe(other);
    }
  });
  const listen = (at) => new Promise((done) => server.listen(at, "127.0.0.1", done));
  await listen(0);
  const own = server.address().port;
  return {
    address: `http://127.0.0.1:${own}`,
    port: own,
    async shut() {
      const closed = new Promise((done) => server.close(done));
      for (const socket of open) socket.destroy();
      await closed;
    },
    open: () => listen(own),
  };
}
