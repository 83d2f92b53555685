'use strict';
// Everything that is known of one cell, in a dialog beside the page.
const Drawer = (cells, drawer, { open, closed, around }) => {
  const { make, tile, button, table, facts, folded } = Element;
  let shown = null;

  const part = (title, ...body) => (body.some(Boolean) ? [make('h3', { textContent: title }), ...body] : []);
  const number = (x) => {
    if (x === 0) return '0, bit for bit';
    return Math.abs(x) < 1e-3 || Math.abs(x) >= 1e4 ? x.toExponential(2) : String(+x.toPrecision(4));
  };
  const nats = (kl) => `${number(kl)}${kl === 0 ? '' : ' nats'}`;
  const known = (x, told) => (x === null || x === undefined ? null : told(x));
  const copyable = (text) => {
    const said = make('span', { className: 'hidden', role: 'status' });
    const copy = button('Copy', async () => {
      try {
        await navigator.clipboard.writeText(text);
        copy.textContent = 'Copied';
      } catch {
        getSelection().selectAllChildren(pre);
        copy.textContent = 'Selected';
      }
      said.textContent = copy.textContent;
    });
    const pre = make('pre', { textContent: text, tabIndex: 0 });
    return make('div', { className: 'copy' }, pre, copy, said);
  };
  // A long digest by its beginning; whoever needs it all finds it in results.json.
  const short = (text) => text?.replaceAll(/\b[0-9a-f]{64}\b/g, (digest) => `${digest.slice(0, 12)}…`) ?? text;
  const axesTable = (axes) => table('Axes of the passport', ['axis', 'saved', 'here', 'consequence'], axes.map((axis) => make('tr', { className: axis.consequence === 'same' ? '' : 'differs' },
    make('th', { scope: 'row', textContent: axis.axis }),
    make('td', { textContent: short(axis.saved) }),
    make('td', { textContent: short(axis.here) }),
    make('td', {}, make('b', { textContent: axis.consequence }), make('br'), short(axis.reason)))));
  /** The axes that differ; those that do not are folded away. */
  const axesOf = (axes) => {
    const [same, other] = [axes.filter((axis) => axis.consequence === 'same'), axes.filter((axis) => axis.consequence !== 'same')];
    return [
      other.length > 0 ? axesTable(other) : null,
      same.length > 0 ? folded(`${same.length} ${same.length === 1 ? 'axis is' : 'axes are'} the same`, axesTable(same)) : null,
    ];
  };
  const where = (names, cell) => make('dl', { className: 'dims' }, names.flatMap((name) => [
    make('dt', { textContent: name }), make('dd', { textContent: cells.value(name, cell) })]));
  /** Where the cell is in the matrix: what is not at its base first, all else behind a line. */
  const dims = (cell) => {
    const [off, rest] = [cells.names.filter((name) => moved(name, cell)), cells.names.filter((name) => !moved(name, cell))];
    return [
      off.length > 0 ? where(off, cell) : make('p', { className: 'hint', textContent: 'Everything is at its base value.' }),
      rest.length > 0 ? folded(`${rest.length} ${rest.length === 1 ? 'dimension is' : 'dimensions are'} at the base value, or without a base`, where(rest, cell)) : null,
    ];
  };
  const outcome = (cell, expected) => (cells.unprotected(cell)
    ? 'nothing: this subject is unprotected and is not judged'
    : expected.outcome.join(' or ') + (expected.code ? ` (${expected.code})` : ''));
  const link = (cell, text) => make('a', { href: `#cell=${encodeURIComponent(cells.ids[cell])}` }, tile(cells.look(cell)), text);
  const moved = (name, cell) => cells.value(name, cell) !== '-' && ![undefined, null, '-', cells.value(name, cell)].includes(cells.base(name));

  const body = (cell, detail) => {
    const { receipt, expected } = detail;
    const look = cells.look(cell);
    const twins = cells.twins(cell);
    // A reason is said once.
    const said = [detail.message, ...(receipt?.axes ?? []).map((axis) => axis.reason)].filter(Boolean);
    const remarks = (receipt?.notes ?? []).filter((note) => !said.some((text) => text.includes(note)));
    const steps = receipt?.steps.map(([name, seconds]) => `${name} ${(seconds * 1e3).toFixed(2)} ms`).join(', ');
    return make('div', { className: 'drawer-body' },
      make('h2', { id: 'drawer-title' }, tile(look), look.name),
      make('p', { className: 'id' }, make('code', { textContent: cells.ids[cell] })),
      make('p', { textContent: look.meaning }),
      detail.message ? make('p', { className: 'message', textContent: short(detail.message) }) : null,
      cells.matched(cell) ? null : make('p', { className: 'surprise-note', textContent: `Unexpected: this cell should have been ${outcome(cell, expected)}.` }),
      cells.was(cell) === null ? null : make('p', { className: 'surprise-note changed', textContent: `Changed: in the other run this cell was ${cells.was(cell)}.` }),
      part('What happened', facts([
        ['code', detail.code], ['route', detail.route],
        ['tokens restored', detail.restored], ['tokens evaluated', detail.evaluated],
        ['NMSE of the logits', known(detail.nmse, number)],
        ['KL divergence', known(detail.kl, nats)],
        ['noise floor that it is judged by', known(detail.noise, ([nmse, kl]) => `NMSE ${number(nmse)}, KL ${nats(kl)}`)],
        ['KL between two sessions never saved, one on each side', known(detail.floor, nats)],
        ['same greedy token', known(detail.agreement, (share) => `${(share * 100).toFixed(0)} % of positions`)],
        ['canary distance', known(receipt?.canary, number)],
        ['time', `${detail.seconds.toFixed(2)} s`], ['steps of the load', steps]])),
      part('Every attempt', facts(detail.attempts)),
      part('Distance by position', known(detail.distances, Plot.distances)),
      part('Expected', facts([['outcome', outcome(cell, expected)], ['because', short(expected.reason)], ['issue', expected.issue],
        ['entry', expected.entry ? make('code', { textContent: expected.entry }) : null]])),
      part('Run it again', copyable(detail.reproduce)),
      part('The same cell with another subject', twins.length === 0 ? null
        : make('ul', { className: 'twins' }, twins.map((twin) => make('li', {}, link(twin, `${cells.called(cells.value('subject', twin))}: ${cells.look(twin).name}`))))),
      part('What differed', ...(receipt?.axes.length ? axesOf(receipt.axes) : [])),
      part('Remarks', remarks.length ? make('ul', {}, remarks.map((note) => make('li', { textContent: short(note) }))) : null),
      part('Log', detail.log.length ? make('pre', { textContent: detail.log.join('\n'), tabIndex: 0, role: 'region', 'aria-label': 'Log' }) : null),
      part('Where it is in the matrix', ...dims(cell)));
  };

  const show = async (cell) => {
    shown = cell;
    const detail = await cells.detail(cell);
    if (shown !== cell) return;
    const { place, count, previous, next } = around(cell);
    const pressed = drawer.open ? document.activeElement?.textContent : null;
    const go = (label, key, to) => button(label, () => open(to), { disabled: to === undefined, 'aria-keyshortcuts': key });
    drawer.replaceChildren(
      make('div', { className: 'drawer-bar' },
        make('span', { textContent: place < 0 ? '' : `${place + 1} of ${count}` }),
        go('Previous', 'k', previous), go('Next', 'j', next),
        button('Close', () => drawer.close())),
      body(cell, detail));
    if (!drawer.open) drawer.showModal();
    const bar = [...drawer.querySelectorAll('.drawer-bar button:not(:disabled)')];
    (bar.find((one) => one.textContent === pressed) ?? bar.at(-1)).focus();
    drawer.scrollTop = 0;
    drawer.dataset.shown = cells.ids[cell];
  };

  drawer.addEventListener('close', () => {
    const from = shown;
    shown = null;
    closed(from);
  });
  drawer.addEventListener('click', (event) => { if (event.target === drawer) drawer.close(); });
  drawer.addEventListener('keydown', (event) => {
    const step = { j: 'Next', k: 'Previous' }[event.key];
    if (step) [...drawer.querySelectorAll('.drawer-bar button')].find((one) => one.textContent === step && !one.disabled)?.click();
    if (event.key !== 'Tab') return;
    // The focus goes round in the dialog, and does not leave the page by it.
    const stops = [...drawer.querySelectorAll('button:not(:disabled), a[href], summary, [tabindex="0"]')].filter((one) => one.checkVisibility());
    const [from, to] = event.shiftKey ? [stops[0], stops.at(-1)] : [stops.at(-1), stops[0]];
    if (document.activeElement === from) {
      event.preventDefault();
      to.focus();
    }
  });

  return { show, hide: () => { if (drawer.open) drawer.close(); } };
};
