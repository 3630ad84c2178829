/* The first page's ring: DDIM with the exact denoiser of td.toys.ring8(), at x = cos(t) x0 + sin(t) eps. */
"use strict";

document.addEventListener("DOMContentLoaded", () => {
  const figure = document.querySelector(".ring");
  const canvas = figure.querySelector("canvas");
  const button = figure.querySelector("button");
  const pen = canvas.getContext("2d");
  const RADIUS = 1.40525, VARIANCE = 0.11242 ** 2;  // of data whose coordinates have variance 1
  const MODES = [...Array(8).keys()].map((k) => [RADIUS * Math.cos((k * Math.PI) / 4), RADIUS * Math.sin((k * Math.PI) / 4)]);
  const POINTS = 700, STEPS = 96, NOISING = 40, REST = 45, REACH = 2.6, FRAME = 40;

  const normal = () => Math.sqrt(-2 * Math.log(1 - Math.random())) * Math.cos(2 * Math.PI * Math.random());
  const pairs = (one) => Array.from({ length: POINTS }, (_, i) => one(i));

  /** E[x0 | x]: the mean that each mode gives x, by how likely the mode is. */
  function denoised([x, y], alpha, sigma) {
    const variance = alpha ** 2 * VARIANCE + sigma ** 2, gain = (alpha * VARIANCE) / variance;
    let total = 1e-300, sumX = 0, sumY = 0;
    for (const [modeX, modeY] of MODES) {
      const dx = x - alpha * modeX, dy = y - alpha * modeY;
      const likely = Math.exp(-(dx ** 2 + dy ** 2) / (2 * variance));
      total += likely;
      sumX += likely * (modeX + gain * dx);
      sumY += likely * (modeY + gain * dy);
    }
    return [sumX / total, sumY / total];
  }

  /** One step of DDIM, without noise, from the angle t to the angle s. */
  function step(x, t, s) {
    const x0 = denoised(x, Math.cos(t), Math.sin(t));
    return x.map((value, i) => Math.cos(s) * x0[i] + (Math.sin(s) * (value - Math.cos(t) * x0[i])) / Math.sin(t));
  }

  const angle = (i) => (Math.PI / 2) * (1 - i / STEPS);
  let data, noise, x, frame = 0, last = 0, playing = false;

  function draw(t) {
    const size = canvas.clientWidth, dots = Math.round(size * devicePixelRatio);
    if (canvas.width !== dots) canvas.width = canvas.height = dots;
    pen.setTransform(dots / size, 0, 0, dots / size, 0, 0);
    pen.clearRect(0, 0, size, size);
    pen.fillStyle = getComputedStyle(canvas).color;
    pen.globalAlpha = 0.55;
    for (const [a, b] of x) {
      pen.beginPath();
      pen.arc(size * (0.5 + a / (2 * REACH)), size * (0.5 - b / (2 * REACH)), 0.7 + size / 500, 0, 2 * Math.PI);
      pen.fill();
    }
    pen.globalAlpha = 1;
    pen.font = "12px sans-serif";
    pen.fillText(`t = ${((2 * t) / Math.PI).toFixed(2)}`, 7, 18);
  }

  /** Noise is taken out, the ring rests, then fresh noise is put in. */
  function next() {
    let t = 0;
    if (frame < STEPS) {
      t = angle(frame + 1);
      x = x.map((point) => step(point, angle(frame), t));
    } else if (frame >= STEPS + REST) {
      if (frame === STEPS + REST) [data, noise] = [x, pairs(() => [normal(), normal()])];
      t = ((Math.PI / 2) * (frame - STEPS - REST + 1)) / NOISING;
      x = data.map((point, i) => point.map((value, j) => Math.cos(t) * value + Math.sin(t) * noise[i][j]));
    }
    frame = (frame + 1) % (STEPS + REST + NOISING);
    draw(t);
  }

  function tick(now) {
    if (!playing) return;
    if (now - last >= FRAME) { last = now; next(); }
    requestAnimationFrame(tick);
  }

  function play(on) {
    playing = on;
    button.textContent = on ? "Pause" : "Play";
    if (on) requestAnimationFrame(tick);
  }

  x = pairs(() => [normal(), normal()]);
  button.addEventListener("click", () => play(!playing));
  if (matchMedia("(prefers-reduced-motion: reduce)").matches) {
    while (frame < STEPS) next();
    play(false);
  } else {
    play(true);
  }
});
