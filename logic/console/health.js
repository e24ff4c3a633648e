/* health: how the server is: alarms on top, ends and refusals by reason, limits, and the state in the page's title and icon.
 * SPDX-License-Identifier: MIT */
import {Window, alarmsOf} from '/console/alarms.js';

const $ = id => document.getElementById(id);
const scrapes = new Window();
const whole = new Intl.NumberFormat('en', {maximumFractionDigits: 0});

/* "5 s", "3 min", "2 h 5 min", "3 d 4 h" */
export function ageOf(ms) {
	const s = Math.max(0, Math.floor(ms / 1000)), m = Math.floor(s / 60), h = Math.floor(m / 60);
	if (m < 1)
		return `${s} s`;
	if (h < 1)
		return `${m} min`;
	return h < 24 ? `${h} h ${m % 60} min` : `${Math.floor(h / 24)} d ${h % 24} h`;
}

function made(tag, text, className = '') {
	const element = document.createElement(tag);
	element.textContent = text;
	element.className = className;
	return element;
}

/* Only if it changed: what is read out is read once. */
function replace(host, children) {
	const next = document.createElement('div');
	next.append(...children);
	if (next.innerHTML !== host.innerHTML)
		host.replaceChildren(...next.children);
}

// ---- the state, in title and icon

const ICONS = {good: '/console/icon.svg', wait: '/console/icon-wait.svg', bad: '/console/icon-bad.svg'};

export function showState(state, words) {
	document.title = words ? `${words} – Comet` : 'Comet';
	if ($('icon').getAttribute('href') !== ICONS[state])
		$('icon').href = ICONS[state];
}

// ---- alarms

/* Comets that were there and are not, for five minutes; those that said goodbye are none. Without Redis nobody knows. */
const GONE_MS = 5 * 60 * 1000;
const seen = new Map(); // id → {t, leaving}, when it was last listed

function listGone({t, about, nodes}) {
	nodes.forEach(({id, leaving}) => seen.set(id, {t, leaving}));
	seen.forEach((last, id) => (last.t < t && last.leaving || last.t < t - GONE_MS) && seen.delete(id));
	return about.ready ? [...seen].filter(([, last]) => last.t < t).map(([id, last]) => ({page: false,
		words: `${id} has not told of itself for ${ageOf(t - last.t)}: it was stopped, has died, or does not reach Redis; look at its log`})) : [];
}

/* Not ready comes first: the server itself says why. */
function listAlarms({t, about, nodes}) {
	const own = about.ready ? [] : [{page: about.words !== 'draining', words: about.words === 'draining'
		? 'is draining: it takes no new clients and sends away those it has' : `is not ready: ${about.words || 'it does not say why'}`}];
	const leaving = about.alone ? [] : nodes.filter(node => node.leaving).map(node => ({page: false, words: `${node.id} sends its clients away`}));
	return [...own, ...alarmsOf(scrapes), ...leaving, ...(about.alone ? [] : listGone({t, about, nodes}))];
}

function showAlarms(now) {
	const alarms = listAlarms(now), pages = alarms.some(alarm => alarm.page);
	$('alarms').hidden = alarms.length === 0;
	$('alarms').classList.toggle('pages', pages);
	replace($('alarm-list'), alarms.map(({name, page, words}) => {
		const item = made('li', '', 'state');
		item.dataset.state = page ? 'bad' : 'wait';
		item.append(made('span', words[0].toUpperCase() + words.slice(1)));
		if (name)
			item.append(made('code', name, 'muted'));
		return item;
	}));
	showState(pages ? 'bad' : alarms.length > 0 ? 'wait' : 'good',
		alarms.length === 0 ? '' : now.about.ready || alarms.length > 1 ? `${alarms.length} ${alarms.length === 1 ? 'alarm' : 'alarms'}` : now.about.words);
}

// ---- ends and refusals

const COUNTED = [
	['closed', 'comet_closed_total', 'reason'], ['turned away', 'comet_refused_total', 'reason'], ['not let in', 'comet_auth_failures_total', 'cause'],
	['held back', 'comet_limited_total', 'limit'], ['kept out', 'comet_kept_out_total', 'ban'], ['message dropped', 'comet_dropped_total', 'reason'],
	['HTTP call refused', 'comet_http_refused_total', 'reason'],
];

function showEnds() {
	const rows = COUNTED.flatMap(([what, name, label]) => scrapes.byLabel(name, label).filter(({value}) => value > 0)
		.sort((a, b) => b.value - a.value).map(({key, value, growth}) => ({what, key, value, growth})));
	replace($('ends'), rows.map(({what, key, value, growth}) => {
		const row = document.createElement('tr'), head = made('th', `${what}: ${key.replaceAll('_', ' ')}`);
		head.scope = 'row';
		row.append(head, made('td', growth > 0 ? `+${whole.format(growth)}` : '0', 'number'), made('td', whole.format(value), 'number'));
		return row;
	}));
	$('no-ends').hidden = rows.length > 0;
}

// ---- limits

function limitsOf({metrics, about}) {
	const sum = name => metrics.sum(name) ?? 0;
	const limits = [['Connections', sum('comet_connections'), sum('comet_connections_limit')], ['Files', sum('process_open_fds'), sum('process_max_fds')]];
	return limits.filter(([name, , most]) => Number.isFinite(most) && most > 0 && (about.alone || name !== 'Connections'));
}

function showLimits(now) {
	const sum = name => now.metrics.sum(name) ?? 0;
	const rows = limitsOf(now).map(([name, used, most]) => {
		const row = document.createElement('tr'), head = made('th', name), share = made('td', '', 'share'), meter = document.createElement('meter');
		head.scope = 'row';
		meter.max = most;
		meter.value = used;
		meter.high = 0.85 * most;
		meter.setAttribute('aria-hidden', 'true'); // the numbers stand beside it
		share.append(meter);
		row.append(head, made('td', `${whole.format(used)} of ${whole.format(most)}`, 'number'), share);
		return row;
	});
	if (sum('comet_redis_connected_total') > 0) {
		const row = document.createElement('tr'), head = made('th', 'Redis');
		head.scope = 'row';
		const up = sum('comet_redis_connected_total') - sum('comet_redis_lost_total');
		row.append(head, made('td', `${up} ${up === 1 ? 'connection' : 'connections'}`, 'number'),
			made('td', now.about.registry ? 'answers' : 'does not answer', now.about.registry ? '' : 'wrong'));
		rows.push(row);
	}
	replace($('limits'), rows);
}

/* {t, metrics, about, nodes}, as console.js has it. */
export function showHealth(now) {
	const started = now.metrics.sum('process_start_time_seconds');
	scrapes.add(now.t, now.metrics);
	showAlarms(now);
	showEnds();
	showLimits(now);
	$('version').textContent = `${now.about.version}${started === null ? '' : `, up ${ageOf(now.t - started * 1000)}`}`;
}
