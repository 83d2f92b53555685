'use strict';
// The cells of the run, in columns: a cell is a number. What only the drawer shows is unpacked when it is first asked for.
const TRIED = 'what was tried';
const ALL = 'everything';

const Cells = (index) => {
  const { verdicts, controls, dimensions, attempts, ids } = index;
  const names = Object.keys(dimensions);
  const byId = new Map(ids.map((id, cell) => [id, cell]));
  const surprising = new Set(index.surprises);
  const all = ids.map((_, cell) => cell);
  const at = (name, cell) => dimensions[name].at?.[cell] ?? 0;
  const dim = (name, cell) => dimensions[name].values[at(name, cell)];
  const missing = new Set(index.missing ?? []);
  const called = (name) => index.called?.[name] ?? name;
  const isControl = dimensions.subject?.values.map((subject) => controls.includes(subject)) ?? [false];
  let details = null;
  let was = new Map();

  const value = (name, cell) => {
    if (name === TRIED) return attempts[index.attempt[cell]];
    return name === ALL ? '' : dim(name, cell);
  };

  /** For the filter: a test of one name's values, made once for each value and not for each cell. */
  const column = (name, test) => {
    if (name === 'id') return (cell) => test(ids[cell]);
    if (name === 'verdict') {
      const hits = verdicts.map((verdict) => test(verdict.name));
      return (cell) => hits[index.verdict[cell]];
    }
    if (name in index.extra) {
      const { values, at: places } = index.extra[name];
      const hits = values.map((value) => value !== null && test(value));
      return (cell) => hits[places?.[cell] ?? 0];
    }
    if (!(name in dimensions)) return null;
    const hits = dimensions[name].values.map(test);
    return (cell) => hits[at(name, cell)];
  };

  // What words are looked for in: what a cell is called, what was tried, how it ended, and where it is.
  let haystack = null;
  const texts = () => {
    haystack ??= all.map((cell) => [
      ids[cell], verdicts[index.verdict[cell]].name, attempts[index.attempt[cell]], ...names.map((name) => dim(name, cell)),
      called(dim('subject', cell)),
    ].join('\n').toLowerCase());
    return haystack;
  };
  /** Whether every one of these words is somewhere in what is known of a cell. */
  const words = (text) => {
    const wanted = text.toLowerCase().split(/\s+/).filter(Boolean);
    const all = texts();
    return (cell) => wanted.every((word) => all[cell].includes(word));
  };

  // Twins: the same place of the matrix, tried by another subject.
  const WHO = new Set(['subject', 'writer', 'reader']);
  const place = (cell) => `${dim('model', cell)}\n${'fault' in dimensions ? dim('fault', cell) : ''}`;
  let near = null;
  const twins = (cell) => {
    near ??= grouped(all, place);
    const where = names.filter((name) => !WHO.has(name) && dimensions[name].values.length > 1);
    const alike = (name, other) => [dim(name, cell), dim(name, other)].includes('-') || at(name, cell) === at(name, other);
    return near.get(place(cell)).filter((other) => dim('subject', other) !== dim('subject', cell) && where.every((name) => alike(name, other)));
  };

  return {
    all,
    names,
    known: [...names, ...Object.keys(index.extra)],
    varied: [TRIED, ...names.filter((name) => dimensions[name].values.length > 1)],
    view: index.view,
    verdicts,
    controls,
    ids,
    find: (id) => byId.get(id),
    value,
    column,
    words,
    called,
    /** The values that a filter can name: those of the cells, and every verdict. */
    values: (name) => (name === 'verdict' ? verdicts.map((verdict) => verdict.name)
      : name in dimensions ? [...dimensions[name].values, ...(dimensions[name].unused ?? [])] : null),
    /** Whether it was not played because a system of it is not here. */
    missing: (cell) => missing.has(cell),
    verdictOf: (name) => verdicts.find((verdict) => verdict.name === name),
    severity: (name) => verdicts.findIndex((verdict) => verdict.name === name),
    before: index.before ?? null,
    about: index.about,
    kinds: index.kinds,
    /** Sets what changed cells were in the run that this one is compared with. */
    compare: (verdicts) => { was = verdicts; },
    /** The verdict that a cell had there, if it was another one. */
    was: (cell) => was.get(cell) ?? null,
    twins,
    base: (name) => dimensions[name].base,
    /** The place of a cell among rows or columns of this name. */
    rank: (name, cell) => (name === TRIED ? index.attempt[cell] : name === ALL ? 0 : at(name, cell)),
    verdict: (cell) => index.verdict[cell],
    look: (cell) => verdicts[index.verdict[cell]],
    judged: (cell) => verdicts[index.verdict[cell]].tone !== 'blank',
    matched: (cell) => !surprising.has(cell),
    unprotected: (cell) => isControl[at('subject', cell)],
    /** What only the drawer and the list show of a cell. */
    detail: async (cell) => {
      details ??= Packed.read('details').then(Details);
      return (await details)(cell);
    },
  };
};

/** From the columns and tables of the packed details to a function of the cell. */
const Details = (packed) => {
  const { texts, expectations, axes, steps } = packed;
  const text = (place) => (place === null ? null : texts[place]);
  const receipt = (told) => told && {
    axes: told.axes.map((place) => axes[place]),
    notes: told.notes.map(text),
    canary: told.canary,
    steps: steps[told.steps].map((name, i) => [name, told.seconds[i]]),
  };
  return (cell) => ({
    code: text(packed.code[cell]),
    message: text(packed.message[cell]),
    route: text(packed.route[cell]),
    restored: packed.restored[cell],
    evaluated: packed.evaluated[cell],
    nmse: packed.nmse[cell],
    kl: packed.kl[cell],
    agreement: packed.agreement[cell],
    floor: packed.floor[cell],
    noise: packed.noise[cell],
    expected: expectations[packed.expected[cell]],
    receipt: receipt(packed.receipt[cell]),
    log: packed.log[cell].map(text),
    seconds: packed.seconds[cell],
    reproduce: text(packed.reproduce[cell]),
    attempts: (packed.attempts[cell] ?? []).map(([verdict, message]) => [verdict, text(message)]),
    distances: packed.distances[cell] ?? null,
  });
};
