// Every answer is in the page already: this only chooses one.
(() => {
  const MOST = 50;
  const CHOICES = ['kept', 'from', 'to', 'kv', 'kind'];
  const at = (id) => document.getElementById(id);
  const data = JSON.parse(at('data').textContent);

  const make = (tag, properties, ...children) => {
    const element = document.createElement(tag);
    for (const [name, value] of Object.entries(properties)) {
      if (name === 'textContent' || name === 'className' || name === 'value') element[name] = value;
      else element.setAttribute(name, value);
    }
    element.append(...children);
    return element;
  };
  const option = ([value, words]) => make('option', { value, textContent: words });
  const twice = (value) => [value, value];
  const orAny = (choices, words) => (choices.length > 1 ? [['', words], ...choices] : choices);

  at('kept').append(...data.kept.map(option));
  at('from').append(...data.releases.map(twice).map(option));
  at('to').append(...data.releases.map(twice).map(option));
  at('kv').append(...orAny(data.kv.map(twice), 'all that were tried').map(option));
  at('kind').append(...orAny(data.kinds, 'all that were tried').map(option));
  at('from').value = data.releases[0];
  at('to').value = data.releases[data.releases.length - 1];

  const chosen = () => Object.fromEntries(CHOICES.map((name) => [name, at(name).value]));
  const answer = ({ kept, from, to, kv, kind }) => data.answers[[kept, from, to, kv, kind].join('|')]
    ?? { tone: 'blank', glyph: '○', words: -1, said: null, cells: [] };
  const words = (found) => (found.words < 0 ? data.unknown : data.texts[found.words]);

  const read = () => {
    for (const [name, value] of new URLSearchParams(location.hash.slice(1))) {
      const select = CHOICES.includes(name) ? at(name) : null;
      if (select && [...select.options].some((one) => one.value === value)) select.value = value;
    }
  };

  const grid = (now) => {
    const head = make('tr', {}, make('td', {}), ...data.releases.map((to) => make('th', { scope: 'col', textContent: to })));
    const row = (from) => make('tr', {}, make('th', { scope: 'row', textContent: from }), ...data.releases.map((to) => {
      const found = answer({ ...now, from, to });
      const label = `${from} to ${to}: ${words(found)}`;
      const button = make('button', {
        type: 'button', className: `tile tone-${found.tone}`, textContent: found.glyph,
        title: label, 'aria-label': label, 'aria-pressed': String(from === now.from && to === now.to),
      });
      button.addEventListener('click', () => { at('from').value = from; at('to').value = to; show(); });
      return make('td', {}, button);
    }));
    at('grid').replaceChildren(make('thead', {}, head), make('tbody', {}, ...data.releases.map(row)));
  };

  const show = () => {
    const now = chosen();
    const found = answer(now);
    at('tile').className = `tile tone-${found.tone}`;
    at('tile').textContent = found.glyph;
    at('words').textContent = words(found);
    at('said').hidden = found.said === null;
    at('said').textContent = found.said === null ? '' : `The message: ${data.texts[found.said]}`;
    at('back').textContent = now.from === now.to ? '' : `And back, from ${now.to} to ${now.from}: ${words(answer({ ...now, from: now.to, to: now.from }))}`;
    at('behind').hidden = found.cells.length === 0;
    const shown = found.cells.slice(0, MOST).map((cell) => make('li', { textContent: data.cells[cell] }));
    const left = found.cells.length - shown.length;
    if (left > 0) shown.push(make('li', { textContent: `and ${left} more, in compat.json` }));
    at('cells').replaceChildren(...shown);
    grid(now);
    history.replaceState(null, '', `#${new URLSearchParams(now)}`);
  };

  Theme(at('theme'));
  read();
  show();
  at('ask').addEventListener('change', show);
  at('ask').addEventListener('submit', (event) => event.preventDefault());
  addEventListener('hashchange', () => { read(); show(); });
  document.documentElement.dataset.ready = '';
})();
