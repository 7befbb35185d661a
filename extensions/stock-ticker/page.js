/**
 * Owns the page of the example: one EventSource on a channel's own address, drawn as a line. What the server could not
 * give any more is a gap in the line, never bridged. At most POINTS are drawn.
 */

// @ts-check

const POINTS = 240;
const KEY = 'kymo-key';

/** @typedef {{ offset: number, timeUs: number, price: number, isAfterGap: boolean }} Point */

/** @template {Element} T @param {string} id @param {new () => T} kind @returns {T} */
function part(id, kind) {
  const element = document.getElementById(id);
  if (!(element instanceof kind)) throw new Error(`the page has no ${id}`);
  return element;
}

const chart = part('chart', SVGSVGElement);
const state = part('state', HTMLElement);
const form = part('sign-in', HTMLFormElement);

/** @type {Point[]} */
let points = [];
let isAfterGap = false;
let cursor = '';
const symbol = new URLSearchParams(location.search).get('symbol') ?? 'acme';
Object.assign(globalThis, { tickerInspect: () => ({ symbol, points }) });

/** @param {string} text @param {boolean} needsAttention */
function say(text, needsAttention) {
  state.textContent = text;
  state.dataset['attention'] = String(needsAttention);
}

/** The key of the tab, or the demo's; null: somebody has to type one. */
async function findKey() {
  const own = sessionStorage.getItem(KEY);
  if (own !== null) return own;
  const answer = await fetch('/v1/demo/sign-in', { method: 'POST' });
  if (!answer.ok) return null;
  const { key } = await answer.json();
  sessionStorage.setItem(KEY, key);
  return key;
}

/** @param {string} path @param {string} key @param {RequestInit} [init] */
async function ask(path, key, init) {
  const answer = await fetch(path, { ...init, headers: { authorization: `Bearer ${key}` } });
  if (answer.status === 401) sessionStorage.removeItem(KEY);
  if (!answer.ok) throw new Error(`${path} answered ${answer.status}`);
  return answer.json();
}

async function start() {
  const key = await findKey();
  form.hidden = key !== null;
  if (key === null) {
    say('Not signed in.', true);
    return;
  }
  const { symbols } = await ask('/v1/x/stock-ticker/symbols', key);
  showSymbols(symbols);
  await follow(key);
}

/** An EventSource sends no headers, so it comes with a ticket. @param {string} key */
async function follow(key) {
  const { ticket } = await ask('/v1/tickets', key, { method: 'POST' });
  const query = new URLSearchParams({ ticket, last: String(POINTS), ...(cursor === '' ? {} : { cursor }) });
  const source = new EventSource(`/v1/channels/ticker/${symbol}/events?${query}`);
  source.addEventListener('message', (event) => {
    const { offset, timeUs, data } = JSON.parse(event.data);
    points.push({ offset, timeUs, price: data.price, isAfterGap });
    isAfterGap = false;
    points = points.slice(-POINTS);
    // Before the dot is the cursor itself, which any later connection may begin with.
    cursor = event.lastEventId.split('.')[0] ?? '';
    draw();
    say(`Live. Price ${offset} since the server began to count.`, false);
  });
  // What was missed could not be given: when coming back, and while following.
  source.addEventListener('subscribed', (event) => {
    if (JSON.parse(event.data).recovered === false) isAfterGap = true;
  });
  source.addEventListener('reset', () => {
    isAfterGap = true;
  });
  source.addEventListener('error', () => {
    say('Not connected. The line ends where the last price came; it goes on by itself.', true);
    // The browser tries again by itself, unless the server refused: then a new ticket is needed.
    if (source.readyState === EventSource.CLOSED) setTimeout(restart, 1000 + Math.random() * 4000);
  });
}

function restart() {
  start().catch((error) => {
    say(`${error.message}. Trying again.`, true);
    setTimeout(restart, 1000 + Math.random() * 4000);
  });
}

/** @param {string[]} symbols */
function showSymbols(symbols) {
  part('symbols', HTMLElement).replaceChildren(
    ...symbols.map((name) => {
      const link = document.createElement('a');
      link.href = `?symbol=${encodeURIComponent(name)}`;
      link.textContent = name;
      if (name === symbol) link.setAttribute('aria-current', 'page');
      return link;
    }),
  );
}

function draw() {
  const [first, last] = [points[0], points.at(-1)];
  if (first === undefined || last === undefined) return;
  const prices = points.map((point) => point.price);
  const [low, high] = [Math.min(...prices), Math.max(...prices)];
  const { width, height } = chart.viewBox.baseVal;
  /** @param {Point} point */
  const place = (point) => {
    const x = (width * (point.timeUs - first.timeUs)) / Math.max(1, last.timeUs - first.timeUs);
    const y = height - (height * (point.price - low)) / Math.max(0.01, high - low);
    return `${x.toFixed(1)},${y.toFixed(1)}`;
  };
  /** @type {string[][]} */
  const pieces = [];
  for (const point of points) {
    if (point.isAfterGap || pieces.length === 0) pieces.push([]);
    pieces.at(-1)?.push(place(point));
  }
  chart.replaceChildren(
    ...pieces.map((piece) => {
      const line = document.createElementNS('http://www.w3.org/2000/svg', 'polyline');
      line.setAttribute('points', piece.join(' '));
      return line;
    }),
  );
  const change = last.price - first.price;
  const seconds = Math.round((last.timeUs - first.timeUs) / 1e6);
  part('price', HTMLElement).textContent = last.price.toFixed(2);
  part('change', HTMLElement).textContent =
    `${change < 0 ? '−' : '+'}${Math.abs(change).toFixed(2)} in ${seconds} s`;
  part('high', HTMLElement).textContent = high.toFixed(2);
  part('low', HTMLElement).textContent = low.toFixed(2);
  part('caption', HTMLElement).textContent =
    `${symbol.toUpperCase()}, the last ${points.length} prices over ${seconds} s.`;
}

form.addEventListener('submit', (event) => {
  event.preventDefault();
  sessionStorage.setItem(KEY, part('key', HTMLInputElement).value);
  restart();
});
restart();
