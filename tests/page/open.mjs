// How long the page takes from the first byte that is asked for until it can be used:
//   node open.mjs ADDRESS [COUNT]
// Each opening is a browser context of its own, so nothing is cached; then the same page again, which has
// all but itself in its cache. Prints the median, the least and the most of COUNT openings, in milliseconds.
// NODE_MODULES and CHROMIUM as in page.mjs.
import { existsSync } from "node:fs";
import { loadavg } from "node:os";
import { createRequire } from "node:module";
import { join } from "node:path";

const { NODE_MODULES, CHROMIUM } = process.env;
const INSTALLED = ["/usr/bin/chromium-headless-shell", "/usr/bin/chromium", "/usr/bin/google-chrome"];
const { chromium } = createRequire(join(NODE_MODULES, "page.cjs"))("playwright-core");
const [address, count = "10"] = process.argv.slice(2);

const browser = await chromium.launch({ executablePath: CHROMIUM ?? INSTALLED.find(existsSync), args: ["--no-sandbox", "--disable-gpu"] });

// From the start of the navigation: something is seen; everything answers, said by the page itself; loaded.
const times = (page) => page.evaluate(() => new Promise((tell) => {
  const done = () => {
    const paint = performance.getEntriesByName("first-contentful-paint")[0];
    const usable = performance.getEntriesByName("usable")[0];
    const [navigation] = performance.getEntriesByType("navigation");
    if (!paint || !usable || !navigation.loadEventEnd) return setTimeout(done, 5);
    const requests = performance.getEntriesByType("resource").filter(({ name }) => name.includes("/page/"));
    return tell({ seen: paint.startTime, usable: usable.startTime, loaded: navigation.loadEventEnd, requests: requests.length, sent: requests.reduce((sum, { transferSize }) => sum + transferSize, navigation.transferSize) });
  };
  done();
}));

async function opening() {
  const context = await browser.newContext({ viewport: { width: 1280, height: 860 } });
  const page = await context.newPage();
  await page.goto(address);
  const first = await times(page);
  await page.goto("about:blank");
  await page.goto(address);
  const second = await times(page);
  await context.close();
  return { first, second };
}

await opening(); // The browser's own first page costs more than any other.
const all = [];
for (let at = 0; at < Number(count); at += 1) all.push(await opening());
await browser.close();

const median = (sorted) => sorted[Math.floor(sorted.length / 2)];
for (const which of ["first", "second"]) {
  for (const what of ["seen", "usable", "loaded"]) {
    const sorted = all.map((one) => one[which][what]).sort((a, b) => a - b);
    console.log(`${which} opening, ${what}: median ${median(sorted).toFixed(0)} ms (${sorted[0].toFixed(0)} to ${sorted.at(-1).toFixed(0)})`);
  }
  console.log(`${which} opening: ${all[0][which].requests} files, ${(all[0][which].sent / 1024).toFixed(0)} KiB on the wire`);
}
console.log(`${count} openings; load of the machine ${loadavg()[0].toFixed(1)}`);
