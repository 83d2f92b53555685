'use strict';
// The button that prints everything. The browser's own command prints the answers and the systems.
const Print = (button, prepare) => {
  const root = document.documentElement;
  button.addEventListener('click', () => {
    root.dataset.print = 'all';
    prepare();
    window.print();
  });
  addEventListener('afterprint', () => { delete root.dataset.print; });
};
