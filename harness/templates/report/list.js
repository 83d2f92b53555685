'use strict';
// The selected cells one below the other, worst first. Only the rows on the screen are in the page.
const List = (cells, element, open) => {
  const { make, tile } = Element;
  const ROW = 56; // Pixels, as the style sheet has them.
  const SPARE = 8; // Rows beyond the edges, for scrolling and for the keyboard.
  let order = [];
  let at = 0;

  /** Unexpected cells first, then by severity, judged before unprotected; what has no verdict is last. */
  const worstFirst = (a, b) => cells.matched(a) - cells.matched(b) || cells.judged(b) - cells.judged(a)
    || cells.verdict(b) - cells.verdict(a) || cells.unprotected(a) - cells.unprotected(b) || a - b;

  const row = (place) => {
    const cell = order[place];
    const look = cells.look(cell);
    const message = make('span', { className: 'message' });
    cells.detail(cell).then((detail) => { message.textContent = detail.message; });
    const made = make('div', {
      role: 'row', className: 'row', 'aria-rowindex': place + 1, tabIndex: place === at ? 0 : -1, 'data-place': place,
    },
    make('span', { role: 'gridcell', className: 'verdict' }, tile(look), make('b', { textContent: look.name }),
      cells.matched(cell) ? null : make('span', { className: 'flag', textContent: 'unexpected' })),
    make('span', { role: 'gridcell', className: 'what' }, make('code', { textContent: cells.ids[cell] }), message));
    made.style.top = `${place * ROW}px`;
    return made;
  };

  const rows = make('div', { role: 'rowgroup', className: 'rows' });
  const paint = () => {
    const first = Math.max(0, Math.floor(element.scrollTop / ROW) - SPARE);
    const last = Math.min(order.length, Math.ceil((element.scrollTop + element.clientHeight) / ROW) + SPARE);
    const wanted = new Set();
    for (let place = first; place < last; place += 1) wanted.add(place);
    if (order.length > 0) wanted.add(Math.min(at, order.length - 1));
    for (const old of [...rows.children]) if (!wanted.delete(Number(old.dataset.place))) old.remove();
    const made = [...wanted].map(row);
    rows.append(...made);
  };
  let asked = false;
  element.addEventListener('scroll', () => {
    if (asked) return;
    asked = true;
    requestAnimationFrame(() => { asked = false; paint(); });
  });

  const rowAt = (place) => rows.querySelector(`[data-place="${place}"]`);
  const focus = (place) => {
    at = Math.max(0, Math.min(order.length - 1, place));
    const top = at * ROW;
    if (top < element.scrollTop) element.scrollTop = top;
    else if (top + ROW > element.scrollTop + element.clientHeight) element.scrollTop = top + ROW - element.clientHeight;
    paint();
    for (const other of rows.children) other.tabIndex = Number(other.dataset.place) === at ? 0 : -1;
    rowAt(at)?.focus({ preventScroll: true });
  };
  element.addEventListener('keydown', (event) => {
    const page = Math.max(1, Math.floor(element.clientHeight / ROW) - 1);
    const to = { ArrowDown: at + 1, ArrowUp: at - 1, PageDown: at + page, PageUp: at - page, Home: 0, End: order.length - 1 }[event.key];
    if (event.key === 'Enter' || event.key === ' ') open(order[at]);
    else if (to === undefined) return;
    else focus(to);
    event.preventDefault();
  });
  element.addEventListener('click', (event) => {
    const pressed = event.target.closest('[data-place]');
    if (!pressed) return;
    focus(Number(pressed.dataset.place));
    open(order[at]);
  });

  return {
    render: (list) => {
      order = [...list].sort(worstFirst);
      at = 0;
      element.setAttribute('aria-rowcount', String(order.length));
      rows.style.height = `${order.length * ROW}px`;
      rows.replaceChildren();
      element.replaceChildren(order.length > 0 ? rows : make('p', { className: 'hint', textContent: 'No cell matches. Clear the filter to see all cells.' }));
      element.scrollTop = 0;
      paint();
    },
    order: () => order,
    focusCell: (cell) => { if (order.includes(cell)) focus(order.indexOf(cell)); },
  };
};
