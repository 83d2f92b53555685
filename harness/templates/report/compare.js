'use strict';
// Two runs beside each other, cell by cell: this one, and the baseline or the results.json that somebody chooses.
const Compare = (() => {
  const { make, tile, button, table } = Element;
  const SHOWN = 200; // Rows at once.

  /** What kind of change it is, as `ChangeKind` has it; `null` where nothing changed. `before` is `undefined` where there was no such cell. */
  const kind = (before, now, isControl, severity, isVerdict) => {
    if (before === undefined) return now.matched ? 'new' : 'new-failure';
    const differs = before.verdict !== now.verdict;
    if (isControl) return differs ? 'unprotected' : null;
    if (before.matched !== now.matched) return now.matched ? 'fixed' : 'new-failure';
    if (!differs) return null;
    if (!isVerdict(before.verdict) || !isVerdict(now.verdict)) return 'otherwise';
    return severity(now.verdict) > severity(before.verdict) ? 'worse' : 'better';
  };

  /** Every change from the cells of `before`, a map by id, to those of this run; the most urgent kinds first. */
  const between = (before, cells) => {
    const isVerdict = (name) => cells.verdictOf(name)?.tone !== 'blank';
    const told = cells.all.flatMap((cell) => {
      const now = { verdict: cells.look(cell).name, matched: cells.matched(cell) };
      const was = before.get(cells.ids[cell]);
      const what = kind(was, now, cells.unprotected(cell), cells.severity, isVerdict);
      return what === null ? [] : [{ kind: what, id: cells.ids[cell], cell, before: was?.verdict ?? null, now: now.verdict }];
    });
    const gone = [...before].filter(([id]) => cells.find(id) === undefined)
      .map(([id, was]) => ({ kind: 'removed', id, cell: null, before: was.verdict, now: null }));
    const order = new Map(cells.kinds.map(({ name }, i) => [name, i]));
    return [...told, ...gone].sort((a, b) => order.get(a.kind) - order.get(b.kind));
  };

  /** The cells of a results.json, and what is to be known of its run. Throws what is wrong with it, in words. */
  const read = (text) => {
    let results = null;
    try { results = JSON.parse(text); } catch { throw new Error('This is not JSON. Choose the results.json of a run.'); }
    if (!Array.isArray(results?.cells) || typeof results.run !== 'object') throw new Error('This is not a results.json of intact.');
    if (results.version !== 1) throw new Error(`Its version is ${results.version}; this page reads version 1.`);
    const told = (subject) => (subject.hello ? `${subject.name} ${subject.hello.version} (${subject.hello.release})` : subject.name);
    return {
      cells: new Map(results.cells.map(({ id, verdict, matched }) => [id, { verdict, matched }])),
      about: [
        ['started', results.run.started], ['plan', results.plan?.name], ['cells', String(results.cells.length)],
        ['systems', (results.subjects ?? []).map(told).join(', ')], ['intact', results.run.harness],
        ['machine', [results.environment?.os, results.environment?.arch, results.environment?.cpu].filter(Boolean).join(', ')],
      ],
    };
  };

  /** The baseline that came with the page. */
  const embedded = ({ about, verdict, matched, gone }, cells) => {
    const there = cells.all.filter((cell) => verdict[cell] !== null);
    const name = (place) => cells.verdicts[place].name;
    return {
      about,
      cells: new Map([
        ...there.map((cell) => [cells.ids[cell], { verdict: name(verdict[cell]), matched: Boolean(matched[cell]) }]),
        ...gone.map(([id, place]) => [id, { verdict: name(place), matched: true }]),
      ]),
    };
  };

  const start = (cells, element, open) => {
    const shown = make('div', { id: 'compared' });
    const fault = make('p', { className: 'surprise-note', role: 'alert', hidden: true });
    const looked = (name) => (name === null ? make('span', { className: 'nothing', textContent: 'not there' })
      : [tile(cells.verdictOf(name)), ' ', name]);

    const crossing = (before) => {
      const both = cells.all.filter((cell) => before.has(cells.ids[cell]));
      const counts = grouped(both, (cell) => `${before.get(cells.ids[cell]).verdict}\n${cells.look(cell).name}`);
      const used = (names) => cells.verdicts.map(({ name }) => name).filter((name) => names.has(name));
      const [rows, columns] = [0, 1].map((side) => used(new Set([...counts.keys()].map((key) => key.split('\n')[side]))));
      return table('Verdicts of the other run by those of this one', ['the other run \\ this run', ...columns], rows.map((row) => make('tr', {},
        make('th', { scope: 'row' }, looked(row)),
        columns.map((column) => make('td', { className: row === column ? 'number same' : 'number', textContent: counts.get(`${row}\n${column}`)?.length ?? '' })))));
    };

    const row = (change) => make('tr', { 'data-kind': change.kind },
      make('th', { scope: 'row' }, change.cell === null ? make('code', { textContent: change.id })
        : make('a', { href: `#cell=${encodeURIComponent(change.id)}` }, make('code', { textContent: change.id }))),
      make('td', { className: 'outcome' }, looked(change.before)),
      make('td', { className: 'outcome' }, looked(change.now)),
      make('td', { textContent: cells.kinds.find(({ name }) => name === change.kind).one }));
    const list = (changes) => {
      const made = table('Cells that changed', ['cell', 'the other run', 'this run', 'what changed'], changes.slice(0, SHOWN).map(row));
      if (changes.length <= SHOWN) return [made];
      const more = button(`Show the other ${changes.length - SHOWN}`, () => {
        made.querySelector('tbody').append(...changes.slice(SHOWN).map(row));
        more.remove();
      });
      return [made, more];
    };

    const show = ({ about, cells: before }) => {
      const changes = between(before, cells);
      const both = cells.all.filter((cell) => before.has(cells.ids[cell])).length;
      const differing = changes.filter(({ before: was, now }) => was !== null && now !== null && was !== now);
      cells.compare(new Map(differing.map(({ cell, before: was }) => [cell, was])));
      const kinds = [...grouped(changes, (change) => change.kind)];
      let only = null;
      const rows = make('div', {});
      const fill = () => rows.replaceChildren(...list(only === null ? changes : changes.filter((change) => change.kind === only)));
      const chips = kinds.map(([name, same]) => {
        const words = cells.kinds.find((known) => known.name === name);
        const chip = make('button', { type: 'button', className: 'chip plain', 'aria-pressed': 'false', 'data-kind': name, textContent: `${same.length} ${same.length === 1 ? words.one : words.many}` });
        chip.addEventListener('click', () => {
          only = only === name ? null : name;
          for (const other of chips) other.setAttribute('aria-pressed', String(other.dataset.kind === only));
          fill();
        });
        return chip;
      });
      fill();
      const here = new Map(cells.about);
      shown.replaceChildren(
        table('The two runs', ['', 'the other run', 'this run'], about.map(([name, what]) => make('tr', {},
          make('th', { scope: 'row', textContent: name }), make('td', { textContent: what ?? '' }), make('td', { textContent: here.get(name) ?? '' })))),
        make('h3', {}, changes.length === 0 ? `Nothing changed: ${both} ${both === 1 ? 'cell is as it was' : 'cells are as they were'}.` : `${differing.length} of ${both} cells that both runs have ended differently`),
        make('div', { className: 'chips', role: 'group', 'aria-label': 'Show only these changes' }, chips),
        ...(changes.length === 0 ? [] : [rows]),
        make('h3', { textContent: 'How the cells ended in each run' }), crossing(before));
      element.closest('.part').classList.add('filled');
    };

    const choose = make('input', { type: 'file', id: 'other-run', accept: '.json,application/json' });
    choose.addEventListener('change', async () => {
      const [file] = choose.files;
      if (!file) return;
      fault.hidden = true;
      try { show(read(await file.text())); } catch (error) {
        fault.textContent = error.message;
        fault.hidden = false;
      }
    });
    element.append(make('p', { className: 'other-run' }, make('label', { for: 'other-run' }, 'Compare this run with another one: its ', make('code', { textContent: 'results.json' }), ' '), choose), fault, shown);
    if (cells.before !== null) show(embedded(cells.before, cells));
  };

  start.kind = kind;
  start.between = between;
  start.read = read;
  return start;
})();
