// An image of a job's picture, with a second try and a reason where it cannot be shown.
import { Refused, picture } from "/page/api.js";
import { make } from "/page/dom.js";
import { t } from "/page/language.js";

// loaded(url) once it is there; failed("why") if it is not.
export function imageOf(job, index, attributes, { loaded, failed }) {
  const image = make("img", { decoding: "async", ...attributes });
  const load = async (again) => {
    try {
      image.src = await picture(job.id, index, again);
    } catch (error) {
      failed(error instanceof Refused ? t(error.status === 401 ? "http.401" : "pictureGone") : t("serverGone"));
    }
  };
  image.addEventListener("load", () => loaded?.(image.src), { once: true });
  image.addEventListener("error", () => load(true), { once: true });
  load(false);
  return image;
}
