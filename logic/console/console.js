/* console: asks the server every other second, and shows the answers. server.js asks, figures.js has the tiles and chart.js their graphs,
 * health.js alarms and limits, people.js finds who is there, try_it.js is the panel.
 * SPDX-License-Identifier: MIT */
import {ServerError, bucketsBetween, getJson, getMetrics, key, quantile} from '/console/server.js';
import {askFigures, showFigures, showNothing, showOwn} from '/console/figures.js';
import {count, duration, rate} from '/console/numbers.js';
import {showHealth, showState} from '/console/health.js';
import {listRoom} from '/console/people.js';
import {suggestAddress} from '/console/try_it.js';

const $ = id => document.getElementById(id);
const EVERY_MS = 2000;
const LATENCY = 'comet_push_write_seconds';

// ---- from one scrape to the next

let last = null; // {t, metrics}

// Each comet of a cluster tells its counts once a second, so a rate needs several of our looks.
const WINDOW_MS = 7000;
const told = new Map(); // a node's id → [{t, delivered, dropped}]

/* The deliveries and drops of this node in a second; null when it was seen only once. */
function ratesOf({id, delivered, dropped}, t) {
	const seen = (told.get(id) ?? []).filter(sample => sample.t >= t - WINDOW_MS && sample.delivered <= delivered);
	told.set(id, [...seen, {t, delivered, dropped}]);
	if (seen.length === 0)
		return {delivered: null, dropped: null};
	const seconds = (t - seen[0].t) / 1000;
	return {delivered: (delivered - seen[0].delivered) / seconds, dropped: Math.max(0, dropped - seen[0].dropped) / seconds};
}

function forgetNodesThatAreGone(nodes) {
	for (const id of told.keys())
		if (!nodes.some(node => node.id === id))
			told.delete(id);
}

function showLatency(now) {
	const buckets = now.metrics.buckets(LATENCY);
	if (buckets.length === 0)
		return; // this server does not measure it
	const fresh = last ? bucketsBetween(last.metrics.buckets(LATENCY), buckets) : [];
	const most = quantile(fresh, 0.99);
	showOwn('latency', now.t, quantile(fresh, 0.5), most === null ? 'no pushes just now' : `99 % within ${duration(most)}`);
}

function largest({top}) {
	return top.length > 0 ? `largest: ${top[0].room}` : '';
}

function showOfAll({t, about, nodes, figures}) {
	const addresses = nodes.reduce((sum, node) => sum + node.ip_count, 0);
	showFigures(figures, {steady: true, words: {
		connections: !about.registry ? '' : `${count(addresses)} ${addresses === 1 ? 'address' : 'addresses'}, ${nodes.length} ${nodes.length === 1 ? 'comet' : 'comets'}`,
		delivered: 'of all comets', dropped: 'of all comets',
	}});
	showOwn('rooms', t, about.registry ? about.rooms : null, largest(about));
}

function showAlone(now) {
	const {metrics, about, figures} = now, sum = name => metrics.sum(name) ?? 0, dropped = sum('comet_dropped_total');
	showFigures(figures, {steady: false, words: {
		connections: `${count(sum('comet_online'))} authenticated`, rooms: largest(about),
		delivered: `${count(sum('comet_delivered_total'))} since the start`,
		dropped: `${dropped === 0 ? 'none' : count(dropped)} since the start`,
	}});
	showLatency(now);
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
	const [metrics, about, figures, nodes] = await Promise.all([getMetrics(), getJson('/console.json'), askFigures(),
		getJson('/goim/nodes/instances').catch(error => {
			if (error.status === 200)
				return []; // Redis is unreachable; the other answers are there
			throw error;
		})]);
	const now = {t: Date.now(), metrics, about, figures, nodes};
	for (const node of nodes)
		node.rates = ratesOf(node, now.t);
	forgetNodesThatAreGone(nodes);
	(about.alone ? showAlone : showOfAll)(now);
	$('elsewhere').hidden = about.alone;
	showTables(now);
	showHealth(now);
	suggestAddress(about, nodes);
	foldTryIt(now);
	last = now;
	say('good', 'live');
	$('forget').hidden = !key.get();
}

function askForKey(error) {
	$('ask-state').textContent = key.get() ? error.message.split(';')[0] : ''; // the rest is for those who write programs
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
	showNothing();
	showState('bad', 'no answer');
	say('bad', error instanceof ServerError && error.status === 0 ? `no answer from ${location.host}; trying again` : error.message);
}

let wake = () => {};

async function watch() {
	for (;;) {
		if (!$('ask').open)
			await look().catch(showFault);
		await new Promise(resolve => {
			wake = resolve;
			setTimeout(resolve, EVERY_MS);
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
for (const name of ['comet-key', 'comet-look']) // there is a new key; somebody wants to see something else
	addEventListener(name, () => wake());
watch();
