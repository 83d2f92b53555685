'use strict';
// State lives in the address, so that a view can be shared and the way back works.
const Address = (defaults, follow) => {
  const state = { ...defaults };

  const read = () => {
    const given = new URLSearchParams(location.hash.slice(1));
    for (const key of Object.keys(defaults)) state[key] = given.get(key) ?? defaults[key];
  };
  const write = (step) => {
    const told = new URLSearchParams();
    for (const [key, value] of Object.entries(state)) if (value !== defaults[key]) told.set(key, value);
    const hash = told.toString().replaceAll('+', '%20');
    const address = hash === '' ? location.pathname + location.search : `#${hash}`;
    history[step ? 'pushState' : 'replaceState'](null, '', address);
  };

  addEventListener('hashchange', () => {
    // A link to a cell, a tab or a filter keeps the rest of the view that it is followed from.
    const given = new URLSearchParams(location.hash.slice(1));
    const known = [...given.keys()].filter((key) => key in defaults);
    if (known.length === 0 && location.hash !== '') return;
    const kept = { ...state };
    read();
    if (known.includes('cell') && known.length === 1) Object.assign(state, kept, { cell: given.get('cell') });
    follow(state);
  });
  read();

  return {
    state,
    /** Changes the view. `step` makes it a place that the way back returns to. */
    set: (changes, step = false) => {
      Object.assign(state, changes);
      write(step);
    },
  };
};
