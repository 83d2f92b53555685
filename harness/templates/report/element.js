'use strict';
// Elements. Text only ever enters the page as text.
const Element = (() => {
  const AS_PROPERTY = new Set(['textContent', 'className', 'tabIndex', 'disabled', 'value', 'hidden']);

  const fill = (element, properties, children) => {
    for (const [name, value] of Object.entries(properties)) {
      if (value === null || value === undefined) continue;
      if (AS_PROPERTY.has(name)) element[name] = value; else element.setAttribute(name, value);
    }
    element.append(...children.flat().filter((child) => child !== undefined && child !== null));
    return element;
  };

  /** An element with properties, attributes and children; what is null among them is left out. */
  const make = (tag, properties = {}, ...children) => fill(document.createElement(tag), properties, children);

  /** The same for drawings: attributes only. */
  const draw = (tag, attributes = {}, ...children) => {
    const element = document.createElementNS('http://www.w3.org/2000/svg', tag);
    return fill(element, attributes, children);
  };

  /** A verdict's glyph on its colour. What it means stands beside it, or in its label. */
  const tile = (look, tag = 'span', properties = {}) => make(tag, {
    className: `tile tone-${look.tone}`,
    textContent: look.glyph,
    ...(tag === 'button' ? { type: 'button' } : { 'aria-hidden': 'true' }),
    ...properties,
  });

  const button = (label, onClick, properties = {}) => {
    const element = make('button', { type: 'button', className: 'button', textContent: label, ...properties });
    element.addEventListener('click', onClick);
    return element;
  };

  /** A table that can be scrolled with the keyboard where it is too wide. */
  const table = (label, heads, rows) => make('div', { className: 'scroll', tabIndex: 0, role: 'region', 'aria-label': label },
    make('table', {},
      make('thead', {}, make('tr', {}, heads.map((head) => make('th', { scope: 'col', textContent: head })))),
      make('tbody', {}, rows)));

  /** Names and what they are; those that are nothing are left out. */
  const facts = (pairs) => {
    const told = pairs.filter(([, what]) => what !== undefined && what !== null && what !== '');
    return told.length === 0 ? null : make('dl', {}, told.flatMap(([name, what]) => [make('dt', { textContent: name }), make('dd', {}, what)]));
  };

  /** Headings and rows behind a line that opens them; nothing where there are none. */
  const folded = (summary, ...body) => make('details', {}, make('summary', { textContent: summary }), ...body);

  return { make, draw, tile, button, table, facts, folded };
})();

/** The known name that is so near to `name` that it was probably meant: as the command line finds it. */
const nearest = (name, known) => {
  const distance = (left, right) => {
    const rows = [Array.from({ length: right.length + 1 }, (_, j) => j)];
    for (let i = 1; i <= left.length; i += 1) {
      const row = [i];
      for (let j = 1; j <= right.length; j += 1) {
        let least = Math.min(rows[i - 1][j - 1] + Number(left[i - 1] !== right[j - 1]), rows[i - 1][j] + 1, row[j - 1] + 1);
        if (i > 1 && j > 1 && left[i - 1] === right[j - 2] && left[i - 2] === right[j - 1]) least = Math.min(least, rows[i - 2][j - 2] + 1);
        row.push(least);
      }
      rows.push(row);
    }
    return rows[left.length][right.length];
  };
  const given = [...name];
  let best = null;
  for (const candidate of known) {
    const far = distance(given, [...candidate]);
    if (best === null || far < best.far) best = { far, candidate };
  }
  return best !== null && best.far <= Math.floor(Math.max(given.length, 3) / 2) ? best.candidate : null;
};

/** What to say of a name that is not known. */
const hint = (name, known) => {
  const near = nearest(name, known);
  if (near !== null) return `; did you mean \`${near}\`?`;
  return known.length > 0 && known.length <= 12 ? `; there are ${known.join(', ')}` : '';
};

/** Items by the name that `key` gives them, in order of appearance. */
const grouped = (items, key) => {
  const groups = new Map();
  for (const item of items) {
    const name = key(item);
    const group = groups.get(name);
    if (group) group.push(item); else groups.set(name, [item]);
  }
  return groups;
};
