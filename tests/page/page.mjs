// The gateway's page, driven by a real Chromium with a microphone that hears a recording:
//   node page.mjs ADDRESS RECORDING.wav PICTURES [POOR KEY]
// ADDRESS is the gateway's, PICTURES a folder for screenshots. POOR is the address of another gateway: it asks
// for KEY, nobody works for it, and its queue takes few jobs. A line for each promise; the first broken one ends it with 1.
// NODE_MODULES is the folder that npm has filled; CHROMIUM names the program, where it is not installed.
import { execFileSync } from "node:child_process";
import { mkdirSync } from "node:fs";
import { dirname, join } from "node:path";
import { DESK, PATIENCE, browserThatHears, check, door, hold, opened } from "./harness.mjs";
import { accessible, interfaces, photographed } from "./looks.mjs";

const [address, recording, pictures, poor, key] = process.argv.slice(2);
const complaints = [];
const gate = await door(address);
const browser = await browserThatHears(recording);

const state = (page) => page.locator(".work").getAttribute("data-state");
const text = (page, selector) => page.locator(selector).innerText();
const reaches = (page, wanted) => page.locator(`.work[data-state="${wanted}"]`).waitFor();
const jobs = (page) => page.evaluate(() => JSON.parse(localStorage.getItem("shanshui.jobs") ?? "[]"));
const current = async (page) => page.locator(".work").getAttribute("data-job");
const known = async (page) => page.evaluate((id) => fetch(`/v1/jobs/${id}`).then((answer) => answer.json()), await current(page));
const set = async (page, name, value) => {
  await page.evaluate(() => (document.getElementById("settings").open = true));
  await page.locator(`#set-${name}`).fill(value);
};

// Whether the pictures are on the screen: decoded, and not one colour.
async function painted(page, selector, least = 1) {
  await page.waitForFunction(({ selector, least }) => {
    const images = [...document.querySelectorAll(selector)];
    return images.length >= least && images.every((image) => image.complete && image.naturalWidth > 0);
  }, { selector, least });
  return page.evaluate((selector) => [...document.querySelectorAll(selector)].map((image) => {
    const canvas = Object.assign(document.createElement("canvas"), { width: 16, height: 16 });
    const brush = canvas.getContext("2d");
    brush.drawImage(image, 0, 0, 16, 16);
    const { data } = brush.getImageData(0, 0, 16, 16);
    return { width: image.naturalWidth, colours: new Set(Array.from({ length: 256 }, (_, i) => data.slice(4 * i, 4 * i + 3).join())).size };
  }), selector);
}

// Holds the button as long as the sentence takes, and tells how loud the wave was.
async function speaks(page, seconds) {
  const { x, y, width, height } = await page.locator("#talk").boundingBox();
  await page.mouse.move(x + width / 2, y + height / 2);
  await page.mouse.down();
  await page.locator("body.recording").waitFor();
  let loud = 0;
  for (const end = Date.now() + seconds * 1000; Date.now() < end; await page.waitForTimeout(100)) {
    loud = Math.max(loud, await page.evaluate(() => Number(document.getElementById("ripple").style.getPropertyValue("--loud"))));
  }
  await page.mouse.up();
  return loud;
}

// Every state that is shown, in order, from now on.
const observed = (page) => page.evaluate(() => {
  window.seen = [];
  const note = () => {
    const said = document.querySelector(".work .state")?.textContent;
    if (said && window.seen.at(-1) !== said) window.seen.push(said);
  };
  new MutationObserver(note).observe(document.getElementById("work"), { subtree: true, childList: true, characterData: true });
});

async function speaking(page) {
  await check("held, the button hears; the wave moves; let go, words and pictures come", async () => {
    await observed(page);
    const loud = await speaks(page, 4.5);
    hold(loud > 0.1, `the wave shows ${loud}: the microphone gave no sound`);
    await page.waitForFunction(() => /mountain/i.test(document.querySelector(".work .words")?.textContent ?? ""));
    await reaches(page, "done");
    const sheets = await painted(page, ".sheets .painted", 2);
    hold(sheets.length === 2 && sheets.every(({ colours }) => colours > 8), JSON.stringify(sheets));
    const seen = await page.evaluate(() => window.seen);
    hold(seen.some((said) => said.startsWith("Painting")), `states: ${seen}`);
    return `"${await text(page, ".work .words")}": ${seen.join(" → ")}`;
  });
  await check("the receipt says how it was made; the commands hold its words and seed", async () => {
    await page.locator(".fold summary", { hasText: "Receipt" }).click();
    await page.locator(".made dl").first().waitFor();
    const receipt = await page.locator(".fold-body").last().innerText();
    hold(/Sampler/.test(receipt), receipt);
    await page.locator(".fold summary", { hasText: "As a command" }).click();
    await page.locator(".command pre").nth(2).waitFor();
    const commands = await page.locator(".command pre").allInnerTexts();
    const seed = (await jobs(page))[0].pictures[0].seed;
    hold(commands.length === 3 && commands.every((command) => /mountain/i.test(command) && command.includes(seed)), commands.join("\n"));
  });
}

async function again(page) {
  await check("edited words are painted again without a second transcription", async () => {
    const before = await current(page);
    await page.locator('[data-act="edit"]').click();
    await page.locator(".edit").fill("a red apple on a green field");
    await page.locator('[data-act="repaint"]').click();
    await page.waitForFunction((before) => !["", before].includes(document.querySelector(".work").dataset.job), before);
    await reaches(page, "done");
    await painted(page, ".sheets .painted");
    const { stages } = await known(page);
    const names = (Array.isArray(stages) ? stages.map(({ stage }) => stage) : Object.keys(stages)).join();
    hold(names === "paint", `stages: ${names}`);
  });
  await check("again with another seed: the same words, another seed", async () => {
    const [{ id, words, pictures: [{ seed }] }] = await jobs(page);
    await page.locator('[data-act="again"]').click();
    await page.waitForFunction((id) => !["", id].includes(document.querySelector(".work").dataset.job), id);
    await reaches(page, "done");
    const [other] = await jobs(page);
    hold(other.words === words && other.pictures[0].seed !== seed, JSON.stringify(other));
    return `${seed} → ${other.pictures[0].seed}`;
  });
}

async function ending(page) {
  await check("a job that is painted is cancelled, and its words are text, not markup", async () => {
    await set(page, "steps", "150");
    const words = '<b id="hurt">a castle</b> <img src=x onerror="hurt()">';
    await writes(page, words);
    hold((await text(page, ".work .words")) === words && (await page.locator("#hurt").count()) === 0, "markup was read");
    await page.waitForFunction(() => document.querySelector(".work").dataset.state === "working");
    await page.locator('[data-act="cancel"]').click();
    await reaches(page, "canceled");
    hold((await text(page, ".work .state")) === "Cancelled", await text(page, ".work .state"));
    await set(page, "steps", "");
  });
  await check("words appear while the rest of a long recording is decoded, and become the words", async () => {
    mkdirSync(pictures, { recursive: true });
    const long = join(pictures, "long.wav");
    // Words are shown four times a second: two minutes of speech take longer than that to decode, on any machine.
    const names = ["mountains.wav", "librispeech-1995-1837-0001.wav", "jfk.flac", "cat.wav", "apple.wav"];
    const clips = Array(4).fill(names).flat().map((name) => join(dirname(recording), name));
    const padded = clips.map((_, at) => `[${at}]aresample=16000,apad=pad_dur=0.7[c${at}]`).join(";");
    const joined = clips.map((_, at) => `[c${at}]`).join("");
    execFileSync("ffmpeg", ["-v", "error", "-y", ...clips.flatMap((clip) => ["-i", clip]), "-filter_complex", `${padded};${joined}concat=n=${clips.length}:v=0:a=1`, "-ac", "1", long]);
    await page.evaluate(() => {
      window.hearing = [];
      const note = () => {
        const words = document.querySelector(".work .words.hearing")?.textContent;
        if (words && window.hearing.at(-1) !== words) window.hearing.push(words);
      };
      new MutationObserver(note).observe(document.getElementById("work"), { subtree: true, childList: true, characterData: true });
    });
    await page.locator("#file").setInputFiles(long);
    await page.waitForFunction(() => document.querySelector(".work .words:not(.hearing)")?.textContent.length > 100);
    await reaches(page, "done");
    const seen = await page.evaluate(() => window.hearing);
    hold(seen.length > 1 && seen[0].startsWith("Paint") && seen.some((words) => words.length > seen[0].length), JSON.stringify(seen));
    return `${seen.length} times, first "${seen[0]}"`;
  });
  await check("who works is shown as a picture, and told in words", async () => {
    await page.locator("#topology summary").click();
    await page.locator("#pipeline svg rect").nth(1).waitFor();
    const told = await page.locator("#pipeline li").allTextContents();
    hold(told.some((line) => line.startsWith("paint, pool default:")) && told.length >= 2, told.join("; "));
    hold((await page.locator("#pipeline style, #pipeline script").count()) === 0, "the picture brings a style or a script");
    await page.locator("#topology summary").click();
    return told.join("; ");
  });
  await check("silence ends in words", async () => {
    await page.locator("#file").setInputFiles(join(dirname(recording), "silence.wav"));
    await reaches(page, "no-speech");
    return `${await text(page, ".work .state")}: ${await text(page, ".work .reason")}`;
  });
  await check("what cannot be done is refused in words", async () => {
    await page.evaluate(() => (document.getElementById("settings").open = true));
    await page.locator("#set-shape").selectOption("custom");
    await set(page, "width", "2048");
    await set(page, "height", "2048");
    await writes(page, "a wall");
    await page.waitForFunction(() => ["unsent", "failed"].includes(document.querySelector(".work").dataset.state));
    const said = (await state(page)) === "failed" ? await text(page, ".work .reason") : await text(page, "#notice p");
    hold(/2048|pixels/.test(said), said);
    await page.getByRole("button", { name: "Reset the settings" }).click();
    return said;
  });
}

async function writes(page, words) {
  const before = await page.locator(".work").count() ? await current(page) : "";
  await page.locator("#words").fill(words);
  await page.keyboard.press("Enter");
  await page.waitForFunction((before) => document.querySelector(".work")?.dataset.job !== before, before);
}

async function leaving(page) {
  await check("the server goes, and the page says so; it comes back, and the job goes on", async () => {
    // Longer than it takes to come back, however quick the worker is.
    await set(page, "steps", "150");
    await page.locator("#set-shape").selectOption("custom");
    for (const side of ["width", "height"]) await set(page, side, "512");
    await writes(page, "a sailboat on the sea at sunset");
    await page.waitForFunction(() => document.querySelector(".work").dataset.state === "working");
    await gate.shut();
    await page.locator("#link:not([hidden])").waitFor();
    const said = await text(page, "#link");
    hold(/does not answer/.test(said), said);
    await page.locator("#words").fill("a rainbow");
    await page.keyboard.press("Enter");
    await page.locator("#notice:not([hidden])").waitFor();
    hold(/could not be reached/.test(await text(page, "#notice")), await text(page, "#notice"));
    await gate.open();
    await page.getByRole("button", { name: "Reset the settings" }).click();
    await page.locator("#notice").getByRole("button", { name: "Send again" }).click();
    await page.locator("#link").waitFor({ state: "hidden" });
    for (const { id, words } of await jobs(page)) if (words.startsWith("a sailboat")) await page.evaluate((id) => (location.hash = id), id);
    await page.locator('[data-act="cancel"]').click();
    await reaches(page, "canceled");
    return said.replace(/\s+/g, " ");
  });
}

async function reload(page) {
  await check("a reload keeps the gallery, and the pictures come from the server", async () => {
    const before = await page.locator(".tile").count();
    await page.reload();
    const tiles = page.locator(".tile");
    await tiles.first().waitFor();
    hold((await tiles.count()) === before && before >= 5, `${await tiles.count()} tiles of ${before}`);
    const sheets = await painted(page, ".tile img", 3);
    hold(sheets.length >= 3, JSON.stringify(sheets));
    await page.locator(".tile", { has: page.locator("img") }).last().click();
    await painted(page, ".sheets .painted");
    return `${before} jobs, ${sheets.length} with pictures`;
  });
}

async function keyboard(page) {
  await check("the keyboard alone records, stops and discards", async () => {
    await page.locator("#talk").focus();
    await page.keyboard.press("Enter"); // short: it goes on
    await page.locator("body.recording").waitFor();
    hold((await page.locator("#talk").getAttribute("aria-pressed")) === "true", "the button does not say that it is pressed");
    await page.keyboard.press("Escape");
    await page.locator("body:not(.recording)").waitFor();
    await page.keyboard.down(" "); // held: it ends with the key
    await page.locator("body.recording").waitFor();
    await page.waitForTimeout(200);
    await page.keyboard.press("Escape");
    await page.keyboard.up(" ");
    hold((await page.locator("body.recording").count()) === 0, "it still records");
  });
  await check("Chinese and dark are one press away, and stay", async () => {
    await page.locator("#language").click();
    await page.locator("#theme").click();
    await page.reload();
    const [language, theme, title] = await page.evaluate(() => [document.documentElement.lang, getComputedStyle(document.documentElement).colorScheme, document.querySelector("h1").textContent]);
    hold(language === "zh-Hans" && theme === "dark" && /画/.test(title), `${language} ${theme} ${title}`);
    await page.locator("#language").click();
    await page.locator("#theme").click();
  });
}

async function refusals() {
  const press = async (page, wanted) => {
    await page.locator("#talk").click();
    await page.locator("#notice:not([hidden])").waitFor();
    const said = await text(page, "#notice p");
    hold(wanted.test(said), said);
    await page.context().close();
    return said.split(".")[0];
  };
  const deaf = await browserThatHears(recording, "deny");
  await check("a microphone that is refused is said in words", async () => press(await opened(deaf, gate.address, DESK, complaints), /did not allow the microphone/));
  await deaf.close();
  if (!poor) return;
  const far = poor.replace("127.0.0.1", "app.test");
  await check("an address without a microphone says what to do", async () => press(await opened(browser, far, DESK, complaints), /https.*127\.0\.0\.1/s));
  await poverty();
}

// A key is asked for, nobody works, and the queue is full.
async function poverty() {
  let page;
  await check("a server with keys asks for one, and keeps it in this tab", async () => {
    page = await opened(browser, poor, DESK, complaints);
    await page.locator("#words").fill("a wish, number 0");
    await page.keyboard.press("Enter");
    await page.locator("#key-field").fill(key);
    await page.keyboard.press("Enter");
    await page.locator('.work:not([data-job=""])').waitFor();
    const kept = await page.evaluate(() => [Object.values(sessionStorage).join(), Object.values(localStorage).join()]);
    hold(kept[0].includes(key) && !kept[1].includes(key), "the key is not where it belongs");
  });
  await check("that nobody works is said in words", async () => {
    await page.waitForFunction(() => /Nobody paints/.test(document.querySelector(".work .state").textContent));
    return text(page, ".work .state");
  });
  await check("a full queue is said in words, and what was written is not lost", async () => {
    for (let sent = 1; sent < 40 && !(await page.locator("#notice").isVisible()); sent += 1) {
      await page.locator("#words").fill(`a wish, number ${sent}`);
      await page.keyboard.press("Enter");
      await page.waitForFunction((words) => document.querySelector(".work .words").textContent === words && document.querySelector(".work").dataset.state !== "sending", `a wish, number ${sent}`);
    }
    const said = await text(page, "#notice p");
    hold(/queue is full/.test(said), said);
    hold(await page.locator('[data-act="resend"]').isVisible(), "nothing to send it again with");
    return said;
  });
}

try {
  let page;
  await check("the page opens", async () => {
    page = await opened(browser, gate.address, DESK, complaints);
    const [shown, loaded] = await page.evaluate(() => new Promise((tell) => {
      const loaded = performance.getEntriesByType("navigation")[0].loadEventEnd;
      const paints = new PerformanceObserver((list) => tell([list.getEntriesByName("first-contentful-paint")[0]?.startTime, loaded]));
      paints.observe({ type: "paint", buffered: true });
    }));
    hold(loaded > 0 && loaded < PATIENCE, `${loaded} ms`);
    return `something is seen after ${shown.toFixed(0)} ms, all of it works after ${loaded.toFixed(0)} ms`;
  });
  await speaking(page);
  await again(page);
  await ending(page);
  await leaving(page);
  await reload(page);
  await keyboard(page);
  await refusals();
  const stored = await page.context().storageState();
  await accessible(browser, gate.address, stored, complaints);
  await interfaces(browser, gate.address, complaints);
  await photographed(browser, gate.address, stored, pictures, complaints);
  await check("no error of a script, nothing that the policy forbids", async () => hold(complaints.length === 0, complaints.join("\n")));
} catch {
  process.exitCode = 1;
} finally {
  await browser.close();
  process.exit();
}
