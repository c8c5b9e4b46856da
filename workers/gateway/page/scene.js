// The landscape behind the button, painted with noise: ridges that fade into mist, a new one each day.
// While somebody speaks, the nearest ridge is the voice: it rises under the sun and runs to both sides.
import { $, calm } from "/page/dom.js";

const STEP = 4;
const KEPT = 400;

// Each ridge, far to near: where its crest lies, how high it rises, how wide its hills are, how dark it
// is, and how high the voice lifts it. The sun stands behind all but the first.
const FAR = [{ at: 0.62, rise: 0.62, wide: 260, ink: 0.17, seed: 1 }];
const NEAR = [
  { at: 0.7, rise: 0.6, wide: 190, ink: 0.3, seed: 2 },
  { at: 0.78, rise: 0.4, wide: 210, ink: 0.4, seed: 3 },
  { at: 0.84, rise: 0.36, wide: 180, ink: 0.56, seed: 4, voice: 0.36 },
  { at: 0.95, rise: 0.2, wide: 150, ink: 0.85, seed: 5, voice: 0.2 },
];

const today = Math.floor(Date.now() / 86_400_000);

// A number from 0 to 1 that only depends on what is asked: the same hills at every width and reload.
function chance(x, seed) {
  let h = Math.imul(x | 0, 374_761_393) + Math.imul((seed + today * 13) | 0, 668_265_263);
  h = Math.imul(h ^ (h >>> 13), 1_274_126_177);
  return ((h ^ (h >>> 16)) >>> 0) / 4_294_967_296;
}

function smooth(x, seed) {
  const left = Math.floor(x);
  const part = x - left;
  const ease = part * part * (3 - 2 * part);
  return chance(left, seed) * (1 - ease) + chance(left + 1, seed) * ease;
}

// Large hills with smaller ones on them; peaks are sharpened, as a brush that lifts off leaves them.
function hills(x, { wide, seed }) {
  let height = 0;
  for (let octave = 0, size = 1; octave < 5; octave += 1, size /= 2.1) {
    const wave = smooth(x / (wide * size), seed + octave * 17);
    height += (octave < 2 ? 1 - Math.abs(2 * wave - 1) : wave) * size * (octave < 2 ? 0.62 : 0.34);
  }
  return height / 1.3;
}

// The valley in which the sun stands: low in the middle, high at the sides, one side higher.
function valley(x, width) {
  const away = Math.min(1, Math.abs(x / width - 0.5) / 0.46);
  const tall = (x < width / 2) === chance(7, 7) < 0.5 ? 1 : 0.72;
  return 0.24 + tall * away ** 1.25;
}

class Sheet {
  constructor(canvas) {
    this.canvas = canvas;
    this.brush = canvas.getContext("2d");
  }

  // The backing store has the screen's own pixels, at most two for one.
  fit() {
    const { clientWidth: width, clientHeight: height } = this.canvas;
    const scale = Math.min(2, devicePixelRatio || 1);
    Object.assign(this, { width, height });
    Object.assign(this.canvas, { width: Math.round(width * scale), height: Math.round(height * scale) });
    this.brush.setTransform(scale, 0, 0, scale, 0, 0);
    // The colour of the ink is the style sheet's, in both themes.
    const [r, g, b] = getComputedStyle(this.canvas).color.match(/[\d.]+/g).map(Number);
    this.ink = (alpha) => `rgb(${r} ${g} ${b} / ${alpha})`;
  }

  wipe() {
    this.brush.clearRect(0, 0, this.width, this.height);
  }

  // crest(x) in pixels from the top. Ink is darkest at the crest and runs out downwards.
  ridge(crest, ridge) {
    const { brush, width, height } = this;
    const points = [];
    for (let x = -STEP; x <= width + STEP; x += STEP) points.push([x, crest(x)]);
    const top = Math.min(...points.map(([, y]) => y));
    const wash = brush.createLinearGradient(0, top, 0, Math.min(height, top + height * 0.5));
    wash.addColorStop(0, this.ink(ridge.ink));
    wash.addColorStop(0.45, this.ink(ridge.ink * 0.42));
    wash.addColorStop(1, this.ink(0));
    brush.fillStyle = wash;
    brush.beginPath();
    brush.moveTo(-STEP, height);
    for (const [x, y] of points) brush.lineTo(x, y);
    brush.lineTo(width + STEP, height);
    brush.fill();
    this.strokes(points, ridge);
  }

  // Dry strokes below the crest, down the slope: what gives a painted rock its grain.
  strokes(points, { ink, seed }) {
    const { brush } = this;
    brush.lineCap = "round";
    points.forEach(([x, y], i) => {
      if (i === 0 || chance(i, seed + 90) < 0.6) return;
      const slope = Math.max(-7, Math.min(7, y - points[i - 1][1]));
      const long = (6 + 26 * chance(i, seed + 91)) * (0.4 + ink);
      brush.strokeStyle = this.ink(ink * 0.22 * chance(i, seed + 92));
      brush.lineWidth = 0.5 + 1.3 * chance(i, seed + 93);
      brush.beginPath();
      brush.moveTo(x, y + 1);
      brush.quadraticCurveTo(x + slope * 1.2, y + long * 0.35, x + slope * 3 + (chance(i, seed) - 0.5) * 14, y + long);
      brush.stroke();
    });
  }

  // Three birds, where the sky is empty.
  birds(x, y) {
    const { brush } = this;
    brush.strokeStyle = this.ink(0.5);
    brush.lineWidth = 1.2;
    for (const [dx, dy, size] of [[0, 0, 8], [24, -11, 6], [40, 5, 5]]) {
      brush.beginPath();
      brush.moveTo(x + dx - size, y + dy - size * 0.35);
      brush.quadraticCurveTo(x + dx - size * 0.3, y + dy - size * 0.45, x + dx, y + dy);
      brush.quadraticCurveTo(x + dx + size * 0.3, y + dy - size * 0.55, x + dx + size, y + dy - size * 0.5);
      brush.stroke();
    }
  }
}

export function scene() {
  const [far, near] = [new Sheet($("far")), new Sheet($("near"))];
  const voice = { levels: [], level: undefined, frame: undefined };

  const still = (sheet, ridge) => (x) =>
    sheet.height * (ridge.at - ridge.rise * valley(x, sheet.width) * (hills(x + 5000 - sheet.width / 2, ridge) - 0.2));

  // Louder is higher, later is nearer to the middle, and the hills lend it their grain.
  const spoken = (ridge) => {
    const rest = still(near, ridge);
    return (x) => {
      const away = Math.abs(x - near.width / 2);
      const age = away / 9;
      const [young, old] = [voice.levels[Math.floor(age)] ?? 0, voice.levels[Math.floor(age) + 1] ?? 0];
      const level = young + (old - young) * (age % 1);
      const fade = 1 - Math.min(1, away / (near.width * 0.62));
      return rest(x) - level * fade * ridge.voice * near.height * (0.5 + 0.8 * smooth(x / 26, ridge.seed + 40));
    };
  };

  function paintNear() {
    near.wipe();
    for (const ridge of NEAR) near.ridge(voice.level && ridge.voice ? spoken(ridge) : still(near, ridge), ridge);
  }

  function paint() {
    far.fit();
    near.fit();
    far.wipe();
    for (const ridge of FAR) far.ridge(still(far, ridge), ridge);
    if (far.width > 640 && far.height > 300) far.birds(far.width * 0.3, far.height * 0.2);
    paintNear();
  }

  function move() {
    if (!voice.level) return;
    const before = voice.levels[0] ?? 0;
    voice.levels.unshift(before * 0.55 + voice.level() * 0.45);
    voice.levels.length = Math.min(voice.levels.length, KEPT);
    $("ripple").style.setProperty("--loud", voice.levels[0].toFixed(3));
    paintNear();
    voice.frame = setTimeout(() => requestAnimationFrame(move), calm() ? 250 : 0);
  }

  new ResizeObserver(paint).observe($("far"));
  matchMedia("(prefers-color-scheme: dark)").addEventListener("change", paint);
  return {
    paint,
    listen(level) {
      Object.assign(voice, { level, levels: [] });
      move();
    },
    rest() {
      clearTimeout(voice.frame);
      voice.level = undefined;
      paintNear();
    },
  };
}
