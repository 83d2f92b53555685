'use strict';
// How far the restored session is from the reference, token by token.
const Plot = (() => {
  const { make, draw } = Element;
  const [WIDTH, HEIGHT, LEFT, RIGHT, TOP, BOTTOM] = [600, 170, 52, 10, 12, 30];
  const FLOOR = 1e-16; // What is nearer than this is drawn at the bottom: no distance at all.

  const scientific = (distance) => (distance === null ? 'not a number' : distance === 0 ? '0' : distance.toExponential(1));

  /** Distances by position as bars over a logarithmic axis; `null` among them where a logit was not finite. */
  const distances = (values) => {
    const log = (distance) => Math.log10(Math.max(distance ?? 1, FLOOR));
    const highest = Math.max(0, Math.ceil(Math.max(...values.map(log))));
    const lowest = -16;
    const y = (power) => TOP + ((highest - power) / (highest - lowest)) * (HEIGHT - TOP - BOTTOM);
    const step = (WIDTH - LEFT - RIGHT) / values.length;
    const ticks = [];
    for (let power = highest; power >= lowest; power -= 4) ticks.push(power);
    const lines = ticks.flatMap((power) => [
      draw('line', { class: 'rule', x1: LEFT, x2: WIDTH - RIGHT, y1: y(power), y2: y(power) }),
      draw('text', { class: 'tick', x: LEFT - 6, y: y(power) + 4, 'text-anchor': 'end', textContent: power === lowest ? '0' : power === 0 ? '1' : `1e${power}` }),
    ]);
    const bars = values.map((distance, i) => draw('rect', {
      class: distance === null ? 'bar broken' : 'bar',
      x: LEFT + i * step + step * 0.14,
      width: step * 0.72,
      y: y(log(distance)),
      height: Math.max(1.5, HEIGHT - BOTTOM - y(log(distance))),
    }, draw('title', { textContent: `token ${i}: ${scientific(distance)}` })));
    const marks = values.map((_, i) => i).filter((i) => i % Math.max(1, Math.ceil(values.length / 9)) === 0)
      .map((i) => draw('text', { class: 'tick', x: LEFT + (i + 0.5) * step, y: HEIGHT - BOTTOM + 15, 'text-anchor': 'middle', textContent: i }));
    const farthest = values.indexOf(values.includes(null) ? null : Math.max(...values));
    const told = `NMSE of the logits by position after the restored session; the farthest is token ${farthest} with ${scientific(values[farthest])}.`;
    return make('figure', { className: 'plot' },
      draw('svg', { viewBox: `0 0 ${WIDTH} ${HEIGHT}`, role: 'img', 'aria-label': `${told} In order: ${values.map(scientific).join(', ')}` },
        lines, bars, marks,
        draw('text', { class: 'tick', x: LEFT + (WIDTH - LEFT - RIGHT) / 2, y: HEIGHT - 2, 'text-anchor': 'middle', textContent: 'token after the restored session' })),
      make('figcaption', { textContent: told }));
  };

  return { distances };
})();
