// How the page looks, and whether those who do not see it can use it.
import { mkdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { DESK, PHONE, axePath, check, hold, opened } from "./harness.mjs";

const axe = readFileSync(axePath, "utf8");

// The newest job with pictures is open, as after painting.
async function withWork(browser, address, stored, options, complaints) {
  const page = await opened(browser, address, { ...options, storageState: moved(stored, address) }, complaints);
  await page.evaluate(() => {
    const painted = JSON.parse(localStorage.getItem("shanshui.jobs")).find(({ state, words }) => state === "done" && /mountain/i.test(words));
    location.hash = painted.id;
  });
  await page.waitForFunction(() => [...document.querySelectorAll(".sheets .painted, .tile img")].every((image) => image.complete && image.naturalWidth > 0) && document.querySelector(".sheets .painted"));
  return page;
}

// What the browser stored belongs to an address.
const moved = (stored, address) => ({ ...stored, origins: stored.origins.map((origin) => ({ ...origin, origin: address })) });

// With everything unfolded: what is folded away is not looked at.
export async function accessible(browser, address, stored, complaints) {
  for (const [name, options] of [["light", DESK], ["dark", { ...PHONE, locale: "zh-CN" }]]) {
    await check(`axe finds nothing serious: ${name}, ${options.locale}, ${options.viewport.width} wide`, async () => {
      const page = await withWork(browser, address, stored, { ...options, colorScheme: name, reducedMotion: "reduce" }, complaints);
      for (const fold of await page.locator("details > summary:visible").all()) await fold.click();
      await page.evaluate(axe);
      const { violations, passes } = await page.evaluate(() => window.axe.run());
      const serious = violations.filter(({ impact }) => ["serious", "critical"].includes(impact));
      const list = (all) => all.map(({ id, nodes }) => `${id}: ${nodes.map(({ html }) => html.slice(0, 120)).join(" | ")}`).join("\n");
      hold(serious.length === 0, list(serious));
      hold(passes.length > 20, `only ${passes.length} rules found something to look at`);
      await page.context().close();
      return `${passes.length} rules pass; minor: ${violations.map(({ id }) => id).join() || "none"}`;
    });
  }
}

// The interfaces: shown, tried, and looked at by axe in both themes. What is answered is no markup.
export async function interfaces(browser, address, complaints) {
  await check("the interfaces are shown, and tried", async () => {
    let many;
    for (const colorScheme of ["light", "dark"]) {
      const page = await opened(browser, `${address}/docs`, { ...DESK, colorScheme }, complaints);
      const send = page.locator("details", { hasText: "Send a recording or a text" });
      await send.locator("summary").click();
      await send.locator("textarea").fill('{"text": "a boat", "picture": {"shape": "<img src=x>"}}');
      await send.getByRole("button").click();
      await send.locator("pre").waitFor();
      const said = await send.locator("pre").textContent();
      hold(said.includes("<img src=x>") && (await page.locator("img").count()) === 0, said);
      await send.locator("textarea").fill('{"text": "a boat"}');
      await send.getByRole("button").click();
      await send.getByText("202 Accepted").waitFor();
      await page.evaluate(axe);
      const { violations } = await page.evaluate(() => window.axe.run());
      const serious = violations.filter(({ impact }) => ["serious", "critical"].includes(impact));
      hold(serious.length === 0, JSON.stringify(serious.map(({ id, nodes }) => [id, nodes[0].html])));
      many = await page.locator("details").count();
      hold(many > 20, `only ${many} routes`);
      await page.context().close();
    }
    return `${many} routes`;
  });
}

// In both themes and two widths; a person has to look at them.
export async function photographed(browser, address, stored, folder, complaints) {
  mkdirSync(folder, { recursive: true });
  await check("pictures of the page in both themes and two widths", async () => {
    for (const [shape, options] of [["page", { ...DESK, viewport: { width: 1280, height: 1040 } }], ["phone", PHONE]]) {
      for (const colorScheme of ["light", "dark"]) {
        const page = await withWork(browser, address, stored, { ...options, colorScheme, reducedMotion: "reduce" }, complaints);
        await page.evaluate(() => scrollTo(0, 0));
        const wide = await page.evaluate(() => document.documentElement.scrollWidth - innerWidth);
        hold(wide <= 0, `${shape}: ${wide} pixels stand out at the side`);
        await page.screenshot({ path: join(folder, `${shape}-${colorScheme}.png`), fullPage: shape === "phone" });
        await page.context().close();
      }
    }
    return folder;
  });
}
