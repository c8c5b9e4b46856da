// The gallery's memory: ids and facts of jobs in this browser. The pictures are the server's.
import { kept, revive } from "/page/job.js";
import { memory } from "/page/dom.js";

const NAME = "jobs";
const MOST = 200;

export const all = () => memory.read(NAME, []).filter((job) => typeof job?.id === "string").map(revive);

// Reads before it writes: another tab may have hung something up in the meantime.
export function put(job) {
  if (!job.id) return;
  const others = memory.read(NAME, []).filter((other) => other?.id !== job.id);
  const list = [...others, kept(job)].sort((a, b) => b.created - a.created).slice(0, MOST);
  memory.write(NAME, list);
}

export function remove(id) {
  memory.write(NAME, memory.read(NAME, []).filter((job) => job?.id !== id));
}

// Another tab changed the list.
export function onOther(changed) {
  addEventListener("storage", (event) => event.key === `shanshui.${NAME}` && changed());
}
