'use strict';
// Puts the page together: what the address says is what is shown.
(async () => {
  const part = (id) => document.getElementById(id);
  Theme(part('theme'));

  const panels = [...document.querySelectorAll('[data-tab]')];
  const cells = Cells(await Packed.read('index'));
  const address = Address({
    tab: 'answers', q: '', v: '', shape: 'grid', cell: '', rows: cells.view.rows, columns: cells.view.columns, tables: cells.view.tables,
  }, () => follow());
  const { state } = address;

  /** The cells that the view selects; with a filter that cannot be read, those of the last one that could. */
  let filter = { text: '', selects: () => true };
  const select = () => {
    let wrong = null;
    if (state.q.trim() === '') filter = { text: state.q, selects: () => true };
    else if (Filter.isWords(state.q)) filter = { text: state.q, selects: cells.words(state.q), words: true };
    else if (state.q !== filter.text) {
      try {
        const read = Filter.parse(state.q);
        const unknown = Filter.unknown(read, cells.known);
        if (unknown) {
          const missing = unknown.name === 'changed' ? 'nothing is known of changes: this report has no baseline'
            : `there is no dimension \`${unknown.name}\`${hint(unknown.name, cells.known)}`;
          throw new Filter.Fault(unknown.start, missing);
        }
        const stray = Filter.missing(read, cells.values);
        if (stray) throw new Filter.Fault(stray.start, `no cell has ${stray.name} \`${stray.text}\`${hint(stray.text, stray.known)}`);
        filter = { text: state.q, selects: Filter.compile(read, cells.column) };
      } catch (error) {
        if (!(error instanceof Filter.Fault)) throw error;
        wrong = error;
      }
    }
    const wanted = new Set(state.v.split(',').filter(Boolean));
    // What is not here to be judged is left out until its verdict is asked for.
    const shown = (cell) => (wanted.size === 0 ? !cells.missing(cell) : wanted.has(cells.look(cell).name)) && filter.selects(cell);
    return { list: cells.all.filter(shown), wrong };
  };

  const open = (cell, step = true) => {
    address.set({ cell: cells.ids[cell] }, step && state.cell === '');
    drawer.show(cell);
  };
  const grid = Grid(cells, part('grid'), open);
  const list = List(cells, part('list'), open);
  const drawer = Drawer(cells, part('drawer'), {
    open,
    around: (cell) => {
      const order = state.shape === 'list' ? list.order() : selected;
      const place = order.indexOf(cell);
      return { place, count: order.length, previous: order[place - 1], next: place < 0 ? undefined : order[place + 1] };
    },
    closed: (cell) => {
      address.set({ cell: '' });
      (state.shape === 'list' ? list : grid).focusCell(cell);
    },
  });
  const change = (changes) => {
    address.set(changes);
    render();
  };
  const tools = Tools(cells, part('tools'), state, change);
  const tabs = Tabs(part('tabs'), panels, (tab) => {
    places.set(state.tab, scrollY);
    address.set({ tab }, true);
    render();
    scrollTo(0, places.get(tab) ?? 0);
  });
  // Where each part was left.
  const places = new Map();
  Compare(cells, part('compare'), open);
  Print(part('print-all'), () => grid.render(selected, state));

  let selected = [];
  let rendered = '';
  const render = () => {
    if (!tabs.has(state.tab)) state.tab = 'answers';
    for (const key of ['rows', 'columns']) if (!cells.varied.includes(state[key])) state[key] = cells.view[key];
    if (state.tables !== ALL && !cells.varied.includes(state.tables)) state.tables = cells.view.tables;
    tabs.show(state.tab);
    const { list: chosen, wrong } = select();
    selected = chosen;
    tools.show(selected.length, wrong, Boolean(filter.words));
    const isList = state.shape === 'list';
    part('grid').hidden = isList;
    part('list').hidden = !isList;
    // What is behind another tab is made when it comes to the front.
    const wanted = JSON.stringify([state.q, state.v, state.shape, state.rows, state.columns, state.tables]);
    if (state.tab !== 'matrix' || rendered === wanted || wrong) return;
    rendered = wanted;
    if (isList) list.render(selected); else grid.render(selected, state);
  };
  const follow = () => {
    render();
    const cell = cells.find(state.cell);
    if (cell === undefined) drawer.hide(); else open(cell, false);
  };

  document.documentElement.classList.add('scripted');
  follow();
  performance.mark('interactive');
  document.documentElement.dataset.ready = '';
})();
