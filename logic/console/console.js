/* console: asks the server every other second, and shows the answers. server.js asks, chart.js draws, health.js has alarms and limits,
 * people.js finds who is there, try_it.js is the panel.
 * SPDX-License-Identifier: MIT */
import {Chart} from '/console/chart.js';
import {ServerError, bucketsBetween, getJson, getMetrics, key, quantile} from '/console/server.js';
import {showHealth, showState} from '/console/health.js';
import {listRoom} from '/console/people.js';
import {suggestAddress} from '/console/try_it.js';

const $ = id => document.getElementById(id);
const EVERY_MS = 2000;
const LATENCY = 'comet_push_write_seconds';

// ---- numbers as people read them

const whole = new Intl.NumberFormat('en', {maximumFractionDigits: 0});
const short = new Intl.NumberFormat('en', {notation: 'compact', maximumSignificantDigits: 3});
const count = n => n < 100_000 ? whole.format(n) : short.format(n);
const rate = n => n < 10 ? String(Math.round(n * 10) / 10) : count(n);

function duration(seconds) {
	if (seconds < 0.001)
		return `${Math.round(seconds * 1e6)} µs`;
	return seconds < 1 ? `${(seconds * 1000).toPrecision(2)} ms` : `${seconds.toPrecision(2)} s`;
}

// ---- tiles

class Tile {
	#value; #more; #words = ['–', ''];

	constructor(title, {unit = '', format, least}) {
		this.figure = document.createElement('figure');
		this.figure.className = 'tile';
		const caption = document.createElement('figcaption'), line = document.createElement('p'), host = document.createElement('div');
		this.#value = document.createElement('span');
		this.#more = document.createElement('p');
		caption.textContent = title;
		line.className = 'value';
		line.append(this.#value);
		if (unit) {
			const small = document.createElement('span');
			small.className = 'unit';
			small.textContent = unit;
			line.append(small);
		}
		this.#more.className = 'more';
		host.className = 'chart';
		this.figure.append(caption, line, this.#more, host);
		this.format = format;
		this.chart = new Chart(host, {name: title, format: n => `${format(n)}${unit && ` ${unit}`}`, least, onPick: sample => this.#pick(sample)});
		$('tiles').append(this.figure);
	}

	show(t, value, more = '') {
		this.chart.add(t, value);
		this.#words = [value === null ? '–' : this.format(value), more];
		if (!this.picked)
			[this.#value.textContent, this.#more.textContent] = this.#words;
	}

	/* While the pointer is on the chart, the tile shows the number at that moment. */
	#pick(sample) {
		this.picked = sample !== null;
		[this.#value.textContent, this.#more.textContent] = this.picked
			? [this.format(sample.value), `at ${new Date(sample.t).toLocaleTimeString([], {hour12: false})}`] : this.#words;
	}
}

const TILES = {
	connections: ['Connections', {format: count}],
	rooms: ['Rooms', {format: count}],
	delivered: ['Deliveries', {unit: '/s', format: rate}],
	dropped: ['Drops', {unit: '/s', format: rate}],
	latency: ['Push to write, median', {format: duration, least: 1e-4}],
	requests: ['API requests', {unit: '/s', format: rate}],
};
const tiles = new Map();

function show(name, t, value, more) {
	if (!tiles.has(name))
		tiles.set(name, new Tile(...TILES[name]));
	tiles.get(name).show(t, value, more);
}

// ---- from one scrape to the next

let last = null; // {t, metrics}

/* The growth of a counter in a second. A counter that fell belongs to a server that was started again: all of it is new. */
function perSecond(now, name) {
	const after = now.metrics.sum(name), before = last?.metrics.sum(name) ?? null;
	if (after === null || before === null)
		return null;
	return (after >= before ? after - before : after) / ((now.t - last.t) / 1000);
}

// Each comet of a cluster tells its counts once a second, so a rate needs several of our looks.
const WINDOW_MS = 7000;
const history = new Map(); // a node's id → [{t, delivered, dropped}]

/* The deliveries and drops of this node in a second; null when it was seen only once. */
function ratesOf({id, delivered, dropped}, t) {
	const seen = (history.get(id) ?? []).filter(sample => sample.t >= t - WINDOW_MS && sample.delivered <= delivered);
	history.set(id, [...seen, {t, delivered, dropped}]);
	if (seen.length === 0)
		return {delivered: null, dropped: null};
	const seconds = (t - seen[0].t) / 1000;
	return {delivered: (delivered - seen[0].delivered) / seconds, dropped: Math.max(0, dropped - seen[0].dropped) / seconds};
}

function forgetNodesThatAreGone(nodes) {
	for (const id of history.keys())
		if (!nodes.some(node => node.id === id))
			history.delete(id);
}

const total = (nodes, name) => nodes.reduce((sum, node) => node.rates[name] === null ? sum : (sum ?? 0) + node.rates[name], null);

function showLatency(now) {
	const buckets = now.metrics.buckets(LATENCY);
	if (buckets.length === 0)
		return; // this server does not measure it
	const fresh = last ? bucketsBetween(last.metrics.buckets(LATENCY), buckets) : [];
	const most = quantile(fresh, 0.99);
	show('latency', now.t, quantile(fresh, 0.5), most === null ? 'no pushes just now' : `99 % within ${duration(most)}`);
}

function showNumbers(now) {
	const {t, metrics, about, nodes} = now;
	const addresses = nodes.reduce((sum, node) => sum + node.ip_count, 0);
	const held = about.alone ? metrics.sum('comet_connections') : !about.registry ? null : nodes.reduce((sum, node) => sum + node.conn_count, 0);
	show('connections', t, held, held === null ? '' : about.alone ? `${count(metrics.sum('comet_online') ?? 0)} authenticated`
		: `${count(addresses)} ${addresses === 1 ? 'address' : 'addresses'}, ${nodes.length} ${nodes.length === 1 ? 'comet' : 'comets'}`);
	show('rooms', t, about.registry ? about.rooms : null, about.top.length > 0 ? `largest: ${about.top[0].room}` : '');
	if (about.alone) {
		const dropped = metrics.sum('comet_dropped_total');
		show('delivered', t, perSecond(now, 'comet_delivered_total'), `${count(metrics.sum('comet_delivered_total') ?? 0)} since the start`);
		show('dropped', t, perSecond(now, 'comet_dropped_total'), dropped === 0 ? 'none since the start' : `${count(dropped ?? 0)} since the start`);
		tiles.get('dropped').figure.dataset.state = perSecond(now, 'comet_dropped_total') > 0 ? 'bad' : 'off';
		showLatency(now);
	} else {
		show('delivered', t, total(nodes, 'delivered'), 'of all comets');
		show('dropped', t, total(nodes, 'dropped'), 'of all comets');
		tiles.get('dropped').figure.dataset.state = total(nodes, 'dropped') > 0 ? 'bad' : 'off';
		show('requests', t, perSecond(now, 'comet_http_requests_total'), 'of this comet-logic');
	}
	$('elsewhere').hidden = about.alone;
}

// ---- tables

function cell(text, className = '') {
	const made = document.createElement('td');
	made.textContent = text;
	made.className = className;
	return made;
}

function rowOf(title, ...cells) {
	const row = document.createElement('tr'), head = document.createElement('th');
	head.scope = 'row';
	head.textContent = head.title = title;
	row.append(head, ...cells);
	return row;
}

function share(value, of) {
	const made = document.createElement('td'), meter = document.createElement('meter');
	made.className = 'share';
	meter.max = Math.max(1, of);
	meter.value = value;
	meter.setAttribute('aria-hidden', 'true'); // the number stands beside it
	made.append(meter);
	return made;
}

/* Kept while its rooms are the same, so that a button under the pointer or with the focus stays. */
function showRooms({top}) {
	const most = top[0]?.count ?? 0;
	const shown = JSON.stringify(top);
	if ($('rooms').dataset.shown === shown)
		return;
	$('rooms').dataset.shown = shown;
	$('rooms').replaceChildren(...top.map(({room, count: people}) => {
		const row = rowOf(room, cell(count(people), 'number'), share(people, most)), button = document.createElement('button');
		button.type = 'button';
		button.className = 'link';
		button.textContent = room;
		button.addEventListener('click', () => listRoom(room));
		row.firstChild.replaceChildren(button);
		return row;
	}));
}

function showTables({about, nodes}) {
	showRooms(about);
	$('no-rooms').hidden = about.top.length > 0;
	$('no-rooms').textContent = about.registry ? 'Nobody is in a room.' : 'The registry does not answer: Redis is unreachable.';
	const all = nodes.reduce((sum, node) => sum + node.conn_count, 0);
	$('nodes').replaceChildren(...nodes.map(node => rowOf(node.id, cell(node.region ? `${node.addrs} (${node.region})` : node.addrs),
		cell(count(node.conn_count), 'number'), share(node.conn_count, all),
		cell(node.rates.delivered === null ? '–' : rate(node.rates.delivered), 'number'),
		cell(node.rates.dropped === null ? '–' : rate(node.rates.dropped), 'number'), cell(node.weight, 'number wide'),
		cell(node.leaving ? 'leaving' : about.alone ? 'here' : `${Math.max(0, Math.round((Date.now() - node.updated_ms) / 1000))} s ago`, 'number wide'))));
	$('no-nodes').hidden = nodes.length > 0;
	$('no-nodes').textContent = about.registry ? 'No comet is up.' : 'The registry does not answer: Redis is unreachable.';
}

/* Where there are clients already, the panel is folded at the first look. */
function foldTryIt({metrics, nodes}) {
	if (last === null && (metrics.sum('comet_online') > 0 || nodes.some(node => node.conn_count > 0)))
		$('try-it').open = false;
}

// ---- asking

function say(state, words) {
	if ($('link').textContent !== words) // so that it is read out once
		$('link').textContent = words;
	$('link').dataset.state = state;
	document.body.classList.toggle('stale', state !== 'good');
}

async function look() {
	const [metrics, about, nodes] = await Promise.all([getMetrics(), getJson('/console.json'),
		getJson('/goim/nodes/instances').catch(error => {
			if (error.status === 200)
				return []; // Redis is unreachable; the other answers are there
			throw error;
		})]);
	const now = {t: Date.now(), metrics, about, nodes};
	for (const node of nodes)
		node.rates = ratesOf(node, now.t);
	forgetNodesThatAreGone(nodes);
	showNumbers(now);
	showTables(now);
	showHealth(now);
	suggestAddress(about, nodes);
	foldTryIt(now);
	last = now;
	say('good', 'live');
	$('forget').hidden = !key.get();
}

function askForKey(error) {
	$('ask-state').textContent = key.get() ? error.message : '';
	$('forget').hidden = true;
	showState('wait', 'sign in');
	say('wait', 'not signed in');
	key.forget();
	if (!$('ask').open) {
		$('api-key').value = '';
		$('ask').showModal();
	}
}

function showFault(error) {
	if (error.status === 401) {
		askForKey(error);
		return;
	}
	const t = Date.now();
	for (const tile of tiles.values())
		tile.show(t, null);
	showState('bad', 'no answer');
	say('bad', error instanceof ServerError && error.status === 0 ? `no answer from ${location.host}; trying again` : error.message);
}

async function watch() {
	for (;;) {
		if (!$('ask').open)
			await look().catch(showFault);
		await new Promise(resolve => {
			setTimeout(resolve, EVERY_MS);
			addEventListener('comet-key', resolve, {once: true});
		});
	}
}

$('ask').addEventListener('submit', () => {
	key.set($('api-key').value);
	$('api-key').value = '';
	setTimeout(() => dispatchEvent(new Event('comet-key'))); // the dialog is closed by then
});
$('ask').addEventListener('cancel', event => event.preventDefault()); // without the key there is nothing to see
$('forget').addEventListener('click', () => {
	key.forget();
	dispatchEvent(new Event('comet-key'));
});
watch();
