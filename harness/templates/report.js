'use strict';
// Renders the matrix, its filter and the drawer from the embedded data. Text only ever enters the page as text.
(() => {
  const data = JSON.parse(document.getElementById('data').textContent);
  const { verdicts, dimensions, values, attempts, cells, controls } = data;
  const byId = new Map(cells.map((cell, index) => [cell.id, index]));
  const TRIED = 'what was tried';
  const ALL = 'everything';
  const HEAP = 60; // More tiles than this in one slot are shown as one tile for each verdict.

  for (const cell of cells) {
    cell.dims = Object.fromEntries(dimensions.map((name, i) => [name, values[cell.place[i]]]));
    cell.look = verdicts[cell.verdict];
    cell.rank = cell.attempt;
    cell.attempt = attempts[cell.rank];
    cell.words = [cell.id, cell.look.name, cell.code, cell.route, cell.attempt, cell.matched ? '' : 'unexpected',
      ...dimensions.map((name) => `${name}:${cell.dims[name]}`)].filter(Boolean).join(' ').toLowerCase();
  }
  const value = (cell, name) => (name === TRIED ? cell.attempt : name === ALL ? '' : cell.dims[name]);
  const unprotected = (cell) => controls.includes(cell.dims.subject);
  const varied = [TRIED, ...dimensions.filter((name) => new Set(cells.map((c) => c.dims[name])).size > 1)];

  // State lives in the address, so that a view can be shared.
  const state = { q: '', v: '', rows: data.rows, columns: data.columns, tables: data.tables, cell: '' };
  const initial = { ...state };
  const readState = () => {
    const given = new URLSearchParams(location.hash.slice(1));
    for (const key of Object.keys(state)) state[key] = given.get(key) ?? initial[key];
  };
  const writeState = () => {
    const given = new URLSearchParams();
    for (const key of Object.keys(state)) if (state[key] !== initial[key]) given.set(key, state[key]);
    const hash = given.toString().replaceAll('+', '%20');
    history.replaceState(null, '', hash ? `#${hash}` : location.pathname + location.search);
  };

  const make = (tag, properties = {}, ...children) => {
    const element = document.createElement(tag);
    for (const [key, set] of Object.entries(properties)) {
      if (set === undefined || set === null) continue;
      if (key in element && key !== 'list') element[key] = set; else element.setAttribute(key, set);
    }
    element.append(...children.filter((child) => child !== undefined && child !== null));
    return element;
  };
  const tile = (look, tag = 'span', properties = {}) =>
    make(tag, { className: `tile tone-${look.tone}`, textContent: look.glyph, ...properties });

  // Filter: every word must be found, a word behind "-" must not.
  const selected = () => {
    const words = state.q.toLowerCase().split(/\s+/).filter(Boolean);
    const wanted = new Set(state.v.split(',').filter(Boolean));
    return cells.filter((cell) => (wanted.size === 0 || wanted.has(cell.look.name)) && words.every((word) =>
      word.startsWith('-') && word.length > 1 ? !cell.words.includes(word.slice(1)) : cell.words.includes(word)));
  };

  const grouped = (list, key) => {
    const groups = new Map();
    for (const item of list) {
      const name = key(item);
      if (groups.has(name)) groups.get(name).push(item); else groups.set(name, [item]);
    }
    return groups;
  };

  const describe = (cell) => `${cell.look.name}${cell.matched ? '' : ', unexpected'}: ${cell.dims.subject}, ${cell.attempt}`;
  const cellTile = (cell) => {
    const button = tile(cell.look, 'button', { type: 'button', title: cell.id, tabIndex: -1 });
    button.setAttribute('aria-label', describe(cell));
    if (!cell.matched) button.classList.add('surprise');
    if (unprotected(cell)) button.classList.add('unprotected');
    button.dataset.cell = byId.get(cell.id);
    return button;
  };
  const heap = (look, list) => {
    const button = tile(look, 'button', { type: 'button', tabIndex: -1, textContent: `${look.glyph} ${list.length}` });
    button.classList.add('heap');
    button.setAttribute('aria-label', `show ${list.length} cells: ${look.name}`);
    button.addEventListener('click', () => button.replaceWith(...list.map(cellTile)));
    return button;
  };
  const slot = (list) => {
    const tiles = make('div', { className: 'tiles' });
    const sorted = [...list].sort((a, b) => unprotected(a) - unprotected(b));
    if (list.length <= HEAP) tiles.append(...sorted.map(cellTile));
    else for (const [verdict, same] of [...grouped(list, (cell) => cell.verdict)].sort((a, b) => a[0] - b[0])) tiles.append(heap(verdicts[verdict], same));
    return make('td', {}, tiles);
  };

  const familyOf = new Map(cells.map((cell) => [cell.dims.model, cell.dims.family]));
  const grid = document.getElementById('grid');
  const renderGrid = () => {
    const list = selected();
    const columns = [...grouped(list, (cell) => value(cell, state.columns)).keys()];
    const parts = [];
    for (const [table, inTable] of grouped(list, (cell) => value(cell, state.tables))) {
      const head = make('tr', {}, make('th', { scope: 'col', textContent: state.rows }),
        ...columns.map((name) => make('th', { scope: 'col' }, state.columns === 'subject' && controls.includes(name) ? `${name} (unprotected)` : name,
          state.columns === 'model' ? make('small', { textContent: familyOf.get(name) }) : null)));
      const body = make('tbody');
      const byRow = [...grouped(inTable, (cell) => value(cell, state.rows))];
      if (state.rows === TRIED) byRow.sort((a, b) => a[1][0].rank - b[1][0].rank);
      for (const [row, inRow] of byRow) {
        const slots = grouped(inRow, (cell) => value(cell, state.columns));
        body.append(make('tr', {}, make('th', { scope: 'row', textContent: row }), ...columns.map((name) => slot(slots.get(name) ?? []))));
      }
      if (table) parts.push(make('h3', { textContent: table }));
      parts.push( make('div', { className: 'scroll' }, make('table', {}, make('thead', {}, head), body)));
    }
    if (list.length === 0) parts.push(make('p', { className: 'hint', textContent: 'No cell matches. Clear the filter to see them all.' }));
    grid.replaceChildren(...parts);
    const first = grid.querySelector('button');
    if (first) first.tabIndex = 0;
    grid.dataset.rendered = String(list.length);
    count.textContent = list.length === cells.length ? `${cells.length} cells` : `${list.length} of ${cells.length} cells`;
  };

  // One tab stop for the whole matrix; arrows move inside it.
  const focusTile = (to) => {
    if (!to) return;
    for (const button of grid.querySelectorAll('button[tabindex="0"]')) button.tabIndex = -1;
    to.tabIndex = 0;
    to.focus();
  };
  grid.addEventListener('keydown', (event) => {
    const from = event.target.closest('button');
    if (!from) return;
    const all = [...grid.querySelectorAll('button')];
    const at = all.indexOf(from);
    const vertical = (step) => {
      const cell = from.closest('td');
      const rows = [...grid.querySelectorAll('tbody tr')];
      for (let i = rows.indexOf(cell.parentElement) + step; i >= 0 && i < rows.length; i += step) {
        const to = rows[i].children[cell.cellIndex]?.querySelector('button');
        if (to) return to;
      }
      return null;
    };
    const to = { ArrowRight: () => all[at + 1], ArrowLeft: () => all[at - 1], ArrowDown: () => vertical(1), ArrowUp: () => vertical(-1), Home: () => all[0], End: () => all.at(-1) }[event.key];
    if (!to) return;
    event.preventDefault();
    focusTile(to());
  });
  grid.addEventListener('click', (event) => {
    const button = event.target.closest('button[data-cell]');
    if (button) { focusTile(button); openCell(cells[button.dataset.cell].id); }
  });

  // Twins: the same place of the matrix, tried by another subject.
  const WHO = new Set(['subject', 'writer', 'reader']);
  const where = (cell) => `${cell.dims.model}\n${cell.dims.fault}`;
  const near = grouped(cells, where);
  const twins = (cell) => near.get(where(cell)).filter((other) => other !== cell && other.dims.subject !== cell.dims.subject
    && dimensions.every((name) => WHO.has(name) || cell.dims[name] === '-' || other.dims[name] === '-' || cell.dims[name] === other.dims[name]));
  const markTwins = (event, on) => {
    const button = event.target.closest?.('button[data-cell]');
    for (const marked of grid.querySelectorAll('.twin')) marked.classList.remove('twin');
    if (button && on) for (const twin of twins(cells[button.dataset.cell])) grid.querySelector(`[data-cell="${byId.get(twin.id)}"]`)?.classList.add('twin');
  };
  for (const [kind, on] of [['mouseover', true], ['mouseout', false], ['focusin', true], ['focusout', false]]) grid.addEventListener(kind, (event) => markTwins(event, on));

  // The drawer.
  const drawer = document.getElementById('drawer');
  const facts = (pairs) => make('dl', {}, ...pairs.filter(([, what]) => what !== undefined && what !== null && what !== '')
    .flatMap(([name, what]) => [make('dt', { textContent: name }), make('dd', {}, what)]));
  const part = (title, ...body) => (body.some((child) => child) ? [make('h3', { textContent: title }), ...body] : []);
  const number = (x) => (x === 0 ? '0, bit for bit' : Math.abs(x) < 1e-3 || Math.abs(x) >= 1e4 ? x.toExponential(2) : String(+x.toPrecision(4)));
  const axesTable = (axes) => make('div', { className: 'scroll' }, make('table', {},
    make('thead', {}, make('tr', {}, ...['axis', 'saved', 'here', 'consequence'].map((name) => make('th', { scope: 'col', textContent: name })))),
    make('tbody', {}, ...axes.map((axis) => make('tr', { className: axis.consequence === 'same' ? '' : 'differs' },
      make('th', { scope: 'row', textContent: axis.axis }), make('td', { textContent: axis.saved }), make('td', { textContent: axis.here }),
      make('td', {}, make('b', { textContent: axis.consequence }), make('br'), axis.reason))))));
  const copyable = (text) => {
    const button = make('button', { type: 'button', className: 'button', textContent: 'Copy' });
    button.addEventListener('click', async () => {
      try { await navigator.clipboard.writeText(text); button.textContent = 'Copied'; } catch { button.textContent = 'Select and copy'; }
    });
    return make('div', { className: 'copy' }, make('pre', { textContent: text }), button);
  };
  const expectation = (cell) => {
    const outcome = cell.expected.outcome.join(' or ') + (cell.expected.code ? ` (${cell.expected.code})` : '');
    return unprotected(cell) ? 'nothing: this subject has no protection and is not judged' : outcome;
  };
  const drawerBody = (cell) => {
    const receipt = cell.receipt;
    const steps = receipt ? Object.entries(receipt.timings?.steps ?? {}).map(([name, s]) => `${name} ${(s * 1e3).toFixed(2)} ms`).join(', ') : '';
    return make('div', { className: 'drawer-body' },
      make('h2', { id: 'drawer-title' }, tile(cell.look, 'span', { ariaHidden: 'true' }), cell.look.name),
      make('p', { className: 'id' }, make('code', { textContent: cell.id })),
      make('p', { textContent: cell.look.meaning }),
      cell.message ? make('p', { className: 'message', textContent: cell.message }) : null,
      cell.matched ? null : make('p', { className: 'surprise-note', textContent: `Unexpected: this cell should have been ${expectation(cell)}.` }),
      ...part('What happened', facts([
        ['code', cell.code], ['route', cell.route], ['tokens restored', cell.tokens_restored], ['tokens evaluated', cell.tokens_evaluated],
        ['NMSE of the logits', cell.nmse == null ? null : number(cell.nmse)], ['KL divergence', cell.kl == null ? null : `${number(cell.kl)}${cell.kl === 0 ? '' : ' nats'}`],
        ['same greedy token', cell.top1_agreement == null ? null : `${(cell.top1_agreement * 100).toFixed(0)} % of positions`],
        ['canary distance', receipt?.canary_distance == null ? null : number(receipt.canary_distance)],
        ['time', `${cell.seconds.toFixed(2)} s`], ['steps of the load', steps]])),
      ...part('Expected', facts([['outcome', expectation(cell)], ['because', cell.expected.reason], ['issue', cell.expected.issue], ['entry', cell.expected.entry ? make('code', { textContent: cell.expected.entry }) : null]])),
      ...part('The same place, another subject', twins(cell).length ? make('ul', { className: 'twins' }, ...twins(cell).map((twin) => make('li', {},
        make('a', { href: `#cell=${encodeURIComponent(twin.id)}` }, tile(twin.look, 'span', { ariaHidden: 'true' }), `${twin.dims.subject}: ${twin.look.name}`)))) : null),
      ...part('Axes', receipt?.axes?.length ? axesTable(receipt.axes) : null),
      ...part('Remarks', receipt?.notes?.length ? make('ul', {}, ...receipt.notes.map((note) => make('li', { textContent: note }))) : null),
      ...part('Where it is in the matrix', facts(dimensions.map((name) => [name, cell.dims[name]]))),
      ...part('Log', cell.log.length ? make('pre', { textContent: cell.log.join('\n'), tabIndex: 0 }) : null),
      ...part('Run it again', copyable(cell.reproduce)));
  };
  const openCell = (id) => {
    const cell = cells[byId.get(id)];
    if (!cell) { state.cell = ''; return; }
    state.cell = id;
    writeState();
    const order = [...grid.querySelectorAll('button[data-cell]')].map((button) => Number(button.dataset.cell));
    const at = order.indexOf(byId.get(id));
    const go = (label, key, to) => {
      const button = make('button', { type: 'button', className: 'button', textContent: label, disabled: to === undefined });
      button.setAttribute('aria-keyshortcuts', key);
      button.addEventListener('click', () => openCell(cells[to].id));
      return button;
    };
    const close = make('button', { type: 'button', className: 'button', textContent: 'Close', autofocus: true });
    close.addEventListener('click', () => drawer.close());
    drawer.replaceChildren(
      make('div', { className: 'drawer-bar' }, make('span', { textContent: at < 0 ? '' : `${at + 1} of ${order.length}` }), go('Previous', 'k', at < 0 ? undefined : order[at - 1]), go('Next', 'j', at < 0 ? undefined : order[at + 1]), close),
      drawerBody(cell));
    if (!drawer.open) drawer.showModal();
    drawer.scrollTop = 0;
  };
  drawer.addEventListener('close', () => {
    const back = grid.querySelector(`[data-cell="${byId.get(state.cell)}"]`);
    state.cell = '';
    writeState();
    if (back) focusTile(back);
  });
  drawer.addEventListener('click', (event) => { if (event.target === drawer) drawer.close(); });
  drawer.addEventListener('keydown', (event) => {
    const step = { j: 'Next', k: 'Previous' }[event.key];
    if (step) [...drawer.querySelectorAll('.drawer-bar button')].find((button) => button.textContent === step && !button.disabled)?.click();
  });

  // The tools.
  const tools = document.getElementById('tools');
  const count = make('output');
  const search = make('input', { type: 'search', placeholder: 'Filter, for example: kv:q8_0 -blind' });
  search.setAttribute('aria-label', 'Filter cells by words');
  search.addEventListener('input', () => { state.q = search.value; update(); });
  const choose = (key, label, names) => {
    const select = make('select', {}, ...names.map((name) => make('option', { value: name, textContent: name })));
    select.addEventListener('change', () => { state[key] = select.value; update(); });
    return { key, select, label: make('label', {}, label, select) };
  };
  const chooses = [choose('rows', 'Rows', varied), choose('columns', 'Columns', varied), choose('tables', 'Tables', [ALL, ...varied])];
  const chips = [...grouped(cells, (cell) => cell.verdict)].sort((a, b) => a[0] - b[0]).map(([verdict, list]) => {
    const look = verdicts[verdict];
    const chip = make('button', { type: 'button', className: 'chip', title: look.meaning }, tile(look, 'span', { ariaHidden: 'true' }), `${look.name} ${list.length}`);
    chip.addEventListener('click', () => {
      const wanted = new Set(state.v.split(',').filter(Boolean));
      if (!wanted.delete(look.name)) wanted.add(look.name);
      state.v = [...wanted].join(',');
      update();
    });
    return { name: look.name, chip };
  });
  tools.append(search, ...chooses.map((choice) => choice.label), count, make('div', { className: 'chips', role: 'group', ariaLabel: 'Show only these verdicts' }, ...chips.map((c) => c.chip)));

  const render = () => {
    if (document.activeElement !== search) search.value = state.q;
    for (const { key, select } of chooses) select.value = state[key];
    const wanted = state.v.split(',');
    for (const { name, chip } of chips) chip.setAttribute('aria-pressed', String(wanted.includes(name)));
    renderGrid();
  };
  const update = () => { writeState(); render(); };
  const follow = () => {
    readState();
    render();
    if (state.cell) openCell(state.cell); else if (drawer.open) drawer.close();
  };
  addEventListener('hashchange', () => {
    // A link to a cell keeps the view that it is followed from.
    const given = new URLSearchParams(location.hash.slice(1));
    if (given.has('cell') && [...given.keys()].length === 1) openCell(given.get('cell')); else if (location.hash !== '#grid') follow();
  });
  document.documentElement.classList.add('scripted');
  follow();
})();
