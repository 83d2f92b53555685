'use strict';
// The matrix as tables of tiles. A table is built when it comes near the screen, and many cells in one place are one tile
// for each verdict until they are asked for.
const Grid = (cells, grid, open) => {
  const { make, tile, button } = Element;
  const FEW = 1200; // Up to so many cells, every one has its tile.
  const SHOWN = 200; // Tiles that a heap opens into at once.

  const describe = (cell) => [
    `${cells.look(cell).name}${cells.matched(cell) ? '' : ', unexpected'}`,
    `${cells.called(cells.value('subject', cell))}, ${cells.value(TRIED, cell)}`,
  ].join(': ');
  const cellTile = (cell) => {
    const made = tile(cells.look(cell), 'button', { title: cells.ids[cell], tabIndex: -1, 'aria-label': describe(cell), 'data-cell': cell });
    made.classList.toggle('surprise', !cells.matched(cell));
    made.classList.toggle('unprotected', cells.unprotected(cell));
    return made;
  };
  const opened = (list) => {
    const rest = list.slice(SHOWN);
    const more = rest.length > 0 ? button(`and ${rest.length} more`, () => {
      const tiles = opened(rest);
      more.replaceWith(...tiles);
      focus(tiles[0]);
    }, { tabIndex: -1 }) : null;
    return [...list.slice(0, SHOWN).map(cellTile), more].filter(Boolean);
  };
  const heap = (list) => {
    const look = cells.look(list[0]);
    const surprises = list.filter((cell) => !cells.matched(cell)).length;
    const part = cells.unprotected(list[0]) ? 'unprotected, ' : '';
    const made = tile(look, 'button', {
      textContent: `${look.glyph} ${list.length}`,
      tabIndex: -1,
      title: `${part}${look.name}`,
      'aria-label': `${list.length} cells, ${part}${look.name}${surprises > 0 ? `, ${surprises} unexpected` : ''}: show each`,
    });
    made.classList.add('heap');
    made.classList.toggle('surprise', surprises > 0);
    made.classList.toggle('unprotected', cells.unprotected(list[0]));
    made.addEventListener('click', () => {
      const tiles = opened(list);
      made.replaceWith(...tiles);
      focus(tiles[0]);
    });
    return made;
  };
  const slot = (list, few) => {
    const sorted = [...list].sort((a, b) => cells.unprotected(a) - cells.unprotected(b) || cells.verdict(a) - cells.verdict(b));
    const kind = (cell) => `${cells.unprotected(cell)}${cells.verdict(cell)}`;
    const tiles = few ? sorted.map(cellTile)
      : [...grouped(sorted, kind).values()].map((same) => (same.length === 1 ? cellTile(same[0]) : heap(same)));
    return make('td', {}, make('div', { className: 'tiles' }, tiles));
  };

  /** Cells by the values of a name, in the order of the plan. */
  const inOrder = (list, name) => [...grouped(list, (cell) => cells.value(name, cell))].sort((a, b) => cells.rank(name, a[1][0]) - cells.rank(name, b[1][0]));

  const columnHead = (state, name, families) => make('th', { scope: 'col' },
    ['subject', 'writer', 'reader'].includes(state.columns) ? cells.called(name) : name,
    state.columns === 'model' ? make('small', { textContent: families.get(name) }) : null);

  const fill = (scroll, state, list, columns, few) => {
    const families = new Map(state.columns === 'model' ? cells.all.map((cell) => [cells.value('model', cell), cells.value('family', cell)]) : []);
    const rows = inOrder(list, state.rows);
    const body = rows.map(([name, inRow]) => {
      const slots = grouped(inRow, (cell) => cells.value(state.columns, cell));
      return make('tr', {}, make('th', { scope: 'row', textContent: ['subject', 'writer', 'reader'].includes(state.rows) ? cells.called(name) : name }), columns.map((column) => slot(slots.get(column) ?? [], few)));
    });
    const heads = columns.map((name) => columnHead(state, name, families));
    scroll.replaceChildren(make('table', { role: 'grid', 'aria-label': scroll.dataset.label },
      make('thead', {}, make('tr', {}, make('th', { scope: 'col', textContent: `${state.rows} \\ ${state.columns}` }), heads)),
      make('tbody', {}, body)));
    if (!grid.querySelector('button[tabindex="0"]')) grid.querySelector('button')?.setAttribute('tabindex', '0');
  };

  let pending = new Map();
  const build = (scroll) => {
    const work = pending.get(scroll);
    pending.delete(scroll);
    watcher.unobserve(scroll);
    work?.();
  };
  const watcher = new IntersectionObserver((entries) => {
    for (const entry of entries) if (entry.isIntersecting) build(entry.target);
  }, { rootMargin: '800px' });
  const buildAll = () => { for (const scroll of [...pending.keys()]) build(scroll); };
  addEventListener('beforeprint', () => { if (document.documentElement.dataset.print === 'all') buildAll(); });

  const render = (list, state) => {
    const columns = inOrder(list, state.columns).map(([name]) => name);
    const tables = inOrder(list, state.tables);
    watcher.disconnect();
    pending = new Map();
    const parts = tables.flatMap(([name, inTable]) => {
      const label = name === '' ? 'The matrix' : `${state.tables} ${name}`;
      const scroll = make('div', { className: 'scroll waiting', 'data-label': label });
      pending.set(scroll, () => {
        scroll.classList.remove('waiting');
        fill(scroll, state, inTable, columns, list.length <= FEW);
      });
      return name === '' ? [scroll] : [make('h3', {}, `${name} `, make('small', { textContent: `${inTable.length} cells` })), scroll];
    });
    if (list.length === 0) parts.push(make('p', { className: 'hint', textContent: 'No cell matches. Clear the filter to see all cells.' }));
    grid.replaceChildren(...parts);
    // The first table stands where the reader looks; the others wait until they are scrolled to.
    for (const [i, scroll] of [...pending.keys()].entries()) if (i === 0) build(scroll); else watcher.observe(scroll);
    grid.dataset.rendered = String(list.length);
  };

  // One tab stop for the whole matrix; arrows move inside it.
  const focus = (to) => {
    if (!to) return;
    for (const held of grid.querySelectorAll('button[tabindex="0"]')) held.tabIndex = -1;
    to.tabIndex = 0;
    to.focus();
  };
  const beside = (from, step) => {
    const all = [...grid.querySelectorAll('button')];
    return all[all.indexOf(from) + step];
  };
  const below = (from, step) => {
    const column = from.closest('td').cellIndex;
    const rows = [...grid.querySelectorAll('tbody tr')];
    for (let i = rows.indexOf(from.closest('tr')) + step; i >= 0 && i < rows.length; i += step) {
      const to = rows[i].children[column]?.querySelector('button');
      if (to) return to;
    }
    return null;
  };
  const MOVES = {
    ArrowRight: (from) => beside(from, 1),
    ArrowLeft: (from) => beside(from, -1),
    ArrowDown: (from) => below(from, 1),
    ArrowUp: (from) => below(from, -1),
    Home: () => grid.querySelector('button'),
    End: () => [...grid.querySelectorAll('button')].at(-1),
  };
  grid.addEventListener('keydown', (event) => {
    const from = event.target.closest('td button');
    const move = MOVES[event.key];
    if (!from || !move) return;
    event.preventDefault();
    focus(move(from));
  });
  grid.addEventListener('click', (event) => {
    const pressed = event.target.closest('button[data-cell]');
    if (pressed) { focus(pressed); open(Number(pressed.dataset.cell)); }
  });

  const find = (cell) => grid.querySelector(`button[data-cell="${cell}"]`);
  const markTwins = (event, on) => {
    const pressed = event.target.closest?.('button[data-cell]');
    for (const marked of grid.querySelectorAll('.twin')) marked.classList.remove('twin');
    if (pressed && on) for (const twin of cells.twins(Number(pressed.dataset.cell))) find(twin)?.classList.add('twin');
  };
  for (const [kind, on] of [['mouseover', true], ['mouseout', false], ['focusin', true], ['focusout', false]]) grid.addEventListener(kind, (event) => markTwins(event, on));

  return { render, focusCell: (cell) => focus(find(cell)) };
};
