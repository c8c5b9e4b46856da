// One recording from the microphone: how loud it is while it runs, and its bytes at the end.

// What the browser can write and the pipeline can read, best first.
const TYPES = ["audio/webm;codecs=opus", "audio/ogg;codecs=opus", "audio/mp4;codecs=mp4a.40.2", "audio/mp4"];
const ENDINGS = { "audio/webm": "webm", "audio/ogg": "ogg", "audio/mp4": "m4a" };

// Why there is no microphone, in one word that the page has a sentence for.
export function obstacle() {
  if (!window.isSecureContext) return "insecure";
  if (!navigator.mediaDevices?.getUserMedia || !window.MediaRecorder) return "unsupported";
  return undefined;
}

const REASONS = { NotAllowedError: "refusedMicrophone", SecurityError: "refusedMicrophone", NotFoundError: "noMicrophone", NotReadableError: "busyMicrophone", AbortError: "busyMicrophone", NotSupportedError: "unsupported" };

export const reason = (error) => REASONS[error?.name] ?? "noMicrophone";

export async function openMicrophone() {
  return navigator.mediaDevices.getUserMedia({ audio: { channelCount: 1, echoCancellation: true, noiseSuppression: true, autoGainControl: true } });
}

export class Recorder {
  #chunks = [];
  #stream;
  #recorder;
  #meter;
  #began = performance.now();
  #ended;

  constructor(stream, lost) {
    this.#stream = stream;
    const mimeType = TYPES.find((type) => MediaRecorder.isTypeSupported(type));
    this.#recorder = new MediaRecorder(stream, { ...(mimeType ? { mimeType } : {}), audioBitsPerSecond: 64_000 });
    this.#recorder.addEventListener("dataavailable", ({ data }) => data.size > 0 && this.#chunks.push(data));
    this.#ended = new Promise((done) => this.#recorder.addEventListener("stop", done, { once: true }));
    // The microphone was unplugged, or the permission was taken back.
    for (const track of stream.getAudioTracks()) track.addEventListener("ended", lost);
    // A number is needed: without one some browsers give a chunk for each byte.
    this.#recorder.start(250);
    this.#meter = meter(stream);
  }

  seconds() {
    return (performance.now() - this.#began) / 1000;
  }

  // How loud it is now, 0 to 1.
  level() {
    return this.#meter?.level() ?? 0;
  }

  // Whether the microphone gave any sound at all; unknown where there is no meter.
  silent() {
    return this.#meter ? this.#meter.peak() < 0.002 : false;
  }

  async stop() {
    if (this.#recorder.state !== "inactive") this.#recorder.stop();
    await this.#ended;
    this.#close();
    // The type is told by the first chunk: Firefox has none before, and none after.
    const type = this.#chunks[0]?.type || this.#recorder.mimeType || "audio/webm";
    const plain = type.split(";")[0];
    return { recording: new Blob(this.#chunks, { type: plain }), name: `voice.${ENDINGS[plain] ?? "webm"}` };
  }

  discard() {
    if (this.#recorder.state !== "inactive") this.#recorder.stop();
    this.#chunks = [];
    this.#close();
  }

  // The browser shows that it listens until every track is stopped.
  #close() {
    for (const track of this.#stream.getTracks()) track.stop();
    this.#meter?.close();
  }
}

// Only a picture of the sound: a browser without it still records.
function meter(stream) {
  let context;
  try {
    context = new AudioContext();
    const analyser = context.createAnalyser();
    analyser.fftSize = 1024;
    context.createMediaStreamSource(stream).connect(analyser);
    context.resume();
    const samples = new Float32Array(analyser.fftSize);
    let peak = 0;
    let heard = false;
    const level = () => {
      analyser.getFloatTimeDomainData(samples);
      let sum = 0;
      for (const sample of samples) {
        sum += sample * sample;
        peak = Math.max(peak, Math.abs(sample));
      }
      heard ||= context.state === "running";
      // Speech lies between -50 and -10 dB; the ear hears in decibels.
      const loud = 10 * Math.log10(sum / samples.length + 1e-9);
      return Math.min(1, Math.max(0, (loud + 50) / 40));
    };
    // A context that never ran has heard nothing, and says nothing about the microphone.
    return { level, peak: () => (heard ? peak : 1), close: () => context.close() };
  } catch {
    context?.close();
    return undefined;
  }
}
