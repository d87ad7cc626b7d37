'use strict';
// Sorts tables, searches cases, opens what a link names, and writes decisions as a file's text.
for (const table of document.querySelectorAll('table.sortable')) {
  table.querySelectorAll('thead th').forEach((head, column) => {
    const button = document.createElement('button');
    button.type = 'button';
    button.textContent = head.textContent;
    head.replaceChildren(button);
    button.addEventListener('click', () => {
      const up = head.getAttribute('aria-sort') !== 'ascending';
      table.querySelectorAll('thead th').forEach((other) => other.removeAttribute('aria-sort'));
      head.setAttribute('aria-sort', up ? 'ascending' : 'descending');
      const body = table.tBodies[0];
      const key = (row) => row.cells[column].textContent.trim();
      const number = (text) => Number.parseFloat(text.replaceAll(',', ''));
      const order = (one, other) => {
        const [a, b] = [key(one), key(other)];
        const [x, y] = [number(a), number(b)];
        return Number.isNaN(x) || Number.isNaN(y) ? a.localeCompare(b) : x - y;
      };
      const rows = [...body.rows].sort(order);
      body.append(...(up ? rows : rows.reverse()));
    });
  });
}
for (const search of document.querySelectorAll('.filter .search')) {
  search.hidden = false;
  const cases = search.parentElement.querySelectorAll('.case');
  search.querySelector('input').addEventListener('input', (event) => {
    const words = event.target.value.toLowerCase();
    for (const one of cases) one.hidden = !one.textContent.toLowerCase().includes(words);
  });
}
const open = () => {
  let at = document.getElementById(location.hash.slice(1));
  const wanted = at;
  const all = at?.closest('.filter')?.querySelector('.f-all');
  if (all && at.offsetParent === null) all.checked = true;
  for (; at; at = at.parentElement) if (at.tagName === 'DETAILS') at.open = true;
  if (wanted) wanted.scrollIntoView();
};
addEventListener('hashchange', open);
if (location.hash) open();
for (const box of document.querySelectorAll('.decisions')) {
  const fields = [...box.parentElement.querySelectorAll('.approve')];
  const write = () => {
    const agents = {};
    for (const field of fields) {
      const chosen = field.querySelector('input:checked');
      if (!chosen) continue;
      agents[field.dataset.agent] = { decision: chosen.value };
      const comment = field.querySelector('input[type=text]').value;
      if (comment) agents[field.dataset.agent].comment = comment;
    }
    const left = fields.length - Object.keys(agents).length;
    box.hidden = left === fields.length;
    box.querySelector('.left').textContent = left === 0 ? '' : `${left} still to be decided.`;
    const reviewer = box.querySelector('input').value;
    box.querySelector('textarea').value = JSON.stringify({ schema: 1, reviewer, agents }, null, 2);
  };
  for (const field of [...fields, box]) field.addEventListener('input', write);
}
