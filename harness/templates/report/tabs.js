'use strict';
// One part of the page at a time. Without scripts, and on paper, all of them stand below each other.
const Tabs = (bar, panels, choose) => {
  const { make } = Element;
  const name = (panel) => panel.id.replace('part-', '');
  const tabs = panels.map((panel) => {
    const tab = make('button', { type: 'button', role: 'tab', id: `tab-${name(panel)}`, 'aria-controls': panel.id, textContent: panel.dataset.tab });
    panel.setAttribute('role', 'tabpanel');
    panel.setAttribute('aria-labelledby', tab.id);
    tab.addEventListener('click', () => choose(name(panel)));
    return tab;
  });
  bar.setAttribute('role', 'tablist');
  bar.append(...tabs);
  bar.addEventListener('keydown', (event) => {
    const from = tabs.indexOf(document.activeElement);
    const to = { ArrowRight: from + 1, ArrowLeft: from - 1, Home: 0, End: tabs.length - 1 }[event.key];
    if (from < 0 || to === undefined) return;
    event.preventDefault();
    const tab = tabs[(to + tabs.length) % tabs.length];
    tab.focus();
    tab.click();
  });
  return {
    has: (tab) => panels.some((panel) => name(panel) === tab),
    show: (shown) => panels.forEach((panel, i) => {
      const isShown = name(panel) === shown;
      panel.classList.toggle('behind', !isShown);
      tabs[i].setAttribute('aria-selected', String(isShown));
      tabs[i].tabIndex = isShown ? 0 : -1;
      if (isShown) tabs[i].scrollIntoView({ block: 'nearest', inline: 'nearest' });
    }),
  };
};
