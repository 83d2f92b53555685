'use strict';
// The filter, what rows, columns and tables are, which verdicts are shown, and as what.
const Tools = (cells, tools, state, change) => {
  const { make, tile, button } = Element;

  const search = make('input', { type: 'search', id: 'filter', spellcheck: 'false', autocomplete: 'off', autocapitalize: 'off', placeholder: 'words, or kv(q8_0) & !verdict(exact)', 'aria-describedby': 'filter-fault filter-help' });
  const fault = make('pre', { id: 'filter-fault', role: 'alert', hidden: true, tabIndex: 0 });
  const count = make('output', { id: 'count' });
  const help = make('details', { className: 'filter-help' },
    make('summary', { textContent: 'How to filter' }),
    make('div', { id: 'filter-help' },
      make('p', {}, 'Words are searched for in everything that is known of a cell: ', make('code', { textContent: 'corrupt llama' }), '. With parentheses it is the language of ', make('code', { textContent: 'intact run -E' }), ': names with values in parentheses, joined by & and |, negated by !. Names are ',
        ...cells.known.flatMap((name, i) => [i === 0 ? '' : ', ', make('code', { textContent: name })]), ', ', make('code', { textContent: 'id' }), ' and ', make('code', { textContent: 'verdict' }), '.'),
      make('ul', {}, [
        ['kv(q8_0|f16)', 'one of these values'], ['id(~image)', 'contains this text'], ['model(#qwen*)', 'a pattern with * and ?'],
        ['fault(/^image-/)', 'a regular expression'], ['reader(>=b8816)', 'this llama.cpp release or a newer one'],
      ].map(([example, means]) => make('li', {}, make('code', { textContent: example }), ` ${means}`)))));

  search.addEventListener('input', () => change({ q: search.value }));
  const command = button('Copy as command', async () => {
    const text = `intact run -E '${state.q.replaceAll("'", String.raw`'\''`)}'`;
    try { await navigator.clipboard.writeText(text); command.textContent = 'Copied'; } catch { command.textContent = text; }
    setTimeout(() => { command.textContent = 'Copy as command'; }, 2000);
  });

  const choose = (key, label, names) => {
    const select = make('select', { id: `choose-${key}` }, names.map((name) => make('option', { value: name, textContent: name })));
    select.addEventListener('change', () => change({ [key]: select.value }));
    return { key, select, label: make('label', {}, label, select) };
  };
  const chooses = [choose('rows', 'Rows', cells.varied), choose('columns', 'Columns', cells.varied), choose('tables', 'Tables', [ALL, ...cells.varied])];

  const shapes = [['grid', 'Grid'], ['list', 'List, worst first']].map(([shape, label]) => ({ shape, made: button(label, () => change({ shape })) }));
  const chips = [...grouped(cells.all, cells.verdict)].sort((a, b) => a[0] - b[0]).map(([verdict, list]) => {
    const look = cells.verdicts[verdict];
    const chip = make('button', { type: 'button', className: 'chip', title: look.meaning }, tile(look), `${look.name} ${list.length}`);
    chip.addEventListener('click', () => {
      const wanted = new Set(state.v.split(',').filter(Boolean));
      if (!wanted.delete(look.name)) wanted.add(look.name);
      change({ v: [...wanted].join(',') });
    });
    return { name: look.name, chip };
  });

  tools.append(
    make('label', { className: 'filter' }, 'Filter', search), command, help, fault,
    ...chooses.map((choice) => choice.label),
    make('div', { className: 'shapes', role: 'group', 'aria-label': 'Show cells as' }, shapes.map(({ made }) => made)),
    count,
    make('div', { className: 'chips', role: 'group', 'aria-label': 'Show only these verdicts' }, chips.map(({ chip }) => chip)));

  return {
    /** Shows the state of the view, how many cells it selects, and what is wrong with its filter. */
    show: (selected, wrong, words) => {
      if (document.activeElement !== search) search.value = state.q;
      for (const { key, select, label } of chooses) {
        select.value = state[key];
        label.hidden = state.shape === 'list';
      }
      for (const { shape, made } of shapes) made.setAttribute('aria-pressed', String(shape === state.shape));
      const wanted = state.v.split(',');
      for (const { name, chip } of chips) chip.setAttribute('aria-pressed', String(wanted.includes(name)));
      command.hidden = state.q === '' || words || Boolean(wrong);
      search.setAttribute('aria-invalid', String(Boolean(wrong)));
      fault.hidden = !wrong;
      fault.textContent = wrong ? `${state.q}\n${' '.repeat([...state.q.slice(0, wrong.position)].length)}^ ${wrong.message}` : '';
      const left = state.v === '' ? cells.all.filter(cells.missing).length : 0;
      const told = `${selected === cells.all.length ? selected : `${selected} of ${cells.all.length}`} cells${
        left > 0 ? `; ${left} of systems that are not here are left out` : ''}`;
      if (count.textContent !== told) count.textContent = told;
    },
  };
};
