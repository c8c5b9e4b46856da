// The mount of the open job: a sheet for each picture, empty at first, then a coarse preview, then it.
import { make, show } from "/page/dom.js";
import { ENDED } from "/page/job.js";
import { imageOf } from "/page/image.js";
import { t } from "/page/language.js";

export class Frame {
  constructor() {
    this.sheets = make("div", { class: "sheets" });
    this.seal = make("span", { class: "seal stamp", lang: "zh", "aria-hidden": "true" }, "山水");
    this.element = make("div", { class: "mount" }, this.sheets, this.seal);
    this.figures = new Map();
  }

  update(job) {
    const most = Math.max(job.pictures.length, ENDED.has(job.state) ? 0 : (job.picture?.count ?? 1));
    this.sheets.dataset.count = String(Math.min(most, 4));
    for (const [index, figure] of this.figures) {
      const still = ENDED.has(job.state) ? job.pictures.some((one) => one.index === index) : index < most;
      if (still) continue;
      figure.element.remove();
      this.figures.delete(index);
    }
    for (let place = 0; place < most; place += 1) this.#figure(job, job.pictures[place]?.index ?? place);
    show(this.element, most > 0);
    this.element.classList.toggle("finished", job.state === "done" && most > 0);
  }

  #figure(job, index) {
    if (!this.figures.has(index)) {
      const paper = make("div", { class: "paper" });
      const caption = make("figcaption", {});
      const element = make("figure", {}, paper, caption);
      this.sheets.append(element);
      this.figures.set(index, { element, paper, caption, shown: "" });
    }
    const figure = this.figures.get(index);
    const ready = job.pictures.find((one) => one.index === index);
    const { width, height } = ready?.width ? ready : { width: job.picture?.width ?? 1, height: job.picture?.height ?? 1 };
    figure.paper.style.aspectRatio = `${width} / ${height}`;
    if (ready) this.#ready(job, ready, figure);
    else this.#preview(job.previews[index], figure);
  }

  #preview(source, figure) {
    figure.paper.classList.toggle("empty", !source);
    if (!source || figure.shown === source) return;
    const image = figure.paper.querySelector("img.preview") ?? make("img", { class: "preview", alt: t("preview") });
    image.src = source;
    if (!image.isConnected) figure.paper.replaceChildren(image);
    figure.shown = source;
  }

  #ready(job, ready, figure) {
    const shown = `${job.id}/${ready.index}`;
    if (figure.shown === shown) return;
    figure.shown = shown;
    figure.paper.classList.remove("empty");
    const link = make("a", { class: "whole", target: "_blank", rel: "noopener", title: t("openWhole") });
    const save = make("a", { class: "save", download: `${job.id}-${ready.index}.png` }, t("save"));
    const alt = t("pictureOf", { words: job.words ?? "", number: ready.index + 1 });
    link.append(imageOf(job, ready.index, { class: "painted", alt }, {
      // The preview stays below until the picture is there, so that nothing flickers.
      loaded: (url) => {
        link.href = save.href = url;
        figure.paper.replaceChildren(link);
        figure.caption.replaceChildren(make("span", {}, `${ready.width} × ${ready.height}`), save);
      },
      failed: (why) => figure.paper.replaceChildren(make("p", { class: "lost" }, why)),
    }));
  }
}
