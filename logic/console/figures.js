/* figures: what the server has kept of its last five minutes, by seconds, and of its last day, by minutes (GET /metrics/history), each
 * figure in a tile with a graph. What it does not keep this page keeps itself, as long as it is open. SPDX-License-Identifier: MIT */
import {Chart} from '/console/chart.js';
import {bytes, count, duration, rate} from '/console/numbers.js';
import {getJson} from '/console/server.js';

const $ = id => document.getElementById(id);
const SPANS = {
	seconds: {ms: 5 * 60_000, gap_ms: 12_000, words: 'the last five minutes', brief: 'in five minutes'},
	minutes: {ms: 24 * 3600_000, gap_ms: 150_000, words: 'the last day', brief: 'in a day'},
};
const EVERY_MINUTE_MS = 60_000;

/* grows: its number is what was counted in a second, and a tile says how many that were in all. */
const TILES = {
	connections: ['Connections', {format: count}],
	rooms: ['Rooms', {format: count}],
	pushes: ['Pushes', {unit: '/s', format: rate, grows: true}],
	delivered: ['Deliveries', {unit: '/s', format: rate, grows: true}],
	dropped: ['Drops', {unit: '/s', format: rate, grows: true, bad: true}],
	authenticated: ['Arrivals', {unit: '/s', format: rate, grows: true}],
	auth_refused: ['Not let in', {unit: '/s', format: rate, grows: true}],
	auth_failures: ['Not let in', {unit: '/s', format: rate, grows: true}],
	closed_badly: ['Bad ends', {unit: '/s', format: rate, grows: true}],
	bytes_out: ['Bytes sent', {unit: '/s', format: bytes, grows: true}],
	requests: ['API requests', {unit: '/s', format: rate, grows: true}],
	pushes_failed: ['Failed pushes', {unit: '/s', format: rate, grows: true, bad: true}],
	latency: ['Push to write, median', {format: duration, least: 1e-4}],
};

/* Those that have a tile, of an answer of /metrics/history. */
const namesIn = ({sum}) => Object.keys(TILES).filter(name => name in sum);

// ---- samples: {t, value, most}; value is null where nobody knows it, most is the greatest of a minute's seconds

/* Of a figure, as /metrics/history has it. */
function samplesOf(data, name) {
	const sums = data.sum[name];
	return sums.map((sum, i) => ({
		t: data.to_ms - (sums.length - 1 - i) * data.step_s * 1000,
		value: sum === null ? null : sum / (data.seconds?.[i] ?? 1),
		most: data.max?.[name][i] ?? sum,
	}));
}

/* Those that are not in the list yet. Where the server's clock was set back they begin anew; where it was started again there is a gap. */
function append(list, samples, restarted_ms) {
	if (samples.length > 0 && samples.at(-1).t < (list.at(-1)?.t ?? 0) - 2000)
		list.length = 0;
	if (restarted_ms !== null && list.length > 0)
		list.push({t: restarted_ms, value: null});
	const known = (list.at(-1)?.t ?? 0) + 500;
	list.push(...samples.filter(({t}) => t > known));
	while (list.length > 0 && list[0].t < list.at(-1).t - SPANS.seconds.ms)
		list.shift();
}

// ---- tiles

class Tile {
	#value; #more; #words = ['–', ''];
	seconds = []; minutes = [];
	kept = false; // by the server

	constructor(title, {unit = '', format, least, grows = false, bad = false}) {
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
		Object.assign(this, {format, grows, bad});
		this.chart = new Chart(host, {name: title, format: n => `${format(n)}${unit && ` ${unit}`}`, least, onPick: sample => this.#pick(sample)});
	}

	/* more: words for below the number; undefined: how many there were. */
	show(value, more) {
		this.#words = [value === null ? '–' : this.format(value), more ?? this.#inAll()];
		this.figure.dataset.state = this.bad && value > 0 ? 'bad' : 'off';
		if (!this.picked)
			[this.#value.textContent, this.#more.textContent] = this.#words;
		this.draw();
	}

	draw() {
		this.figure.hidden = span === 'minutes' && !this.kept;
		this.chart.show(this[span], SPANS[span]);
	}

	/* In the time that is shown. */
	#inAll() {
		const seconds_each = span === 'minutes' ? 60 : 1;
		const sum = this[span].reduce((all, {value}) => all + (value ?? 0) * seconds_each, 0);
		return this.grows ? `${sum < 0.5 ? 'none' : this.format(Math.round(sum))} ${SPANS[span].brief}` : '';
	}

	/* While the pointer is on the graph, the tile shows the number at that moment. */
	#pick(sample) {
		this.picked = sample !== null;
		if (!this.picked) {
			[this.#value.textContent, this.#more.textContent] = this.#words;
			return;
		}
		const at = new Date(sample.t).toLocaleTimeString([], {hour12: false, timeStyle: span === 'minutes' ? 'short' : 'medium'});
		this.#value.textContent = this.format(sample.value);
		this.#more.textContent = `at ${at}${span === 'minutes' ? `, at most ${this.format(sample.most)}` : ''}`;
	}
}

const tiles = new Map();

function tile(name) {
	if (!tiles.has(name)) {
		const names = Object.keys(TILES), later = names.slice(names.indexOf(name) + 1).find(other => tiles.has(other));
		tiles.set(name, new Tile(...TILES[name]));
		$('tiles').insertBefore(tiles.get(name).figure, later ? tiles.get(later).figure : null);
	}
	return tiles.get(name);
}

/* A number that the server does not keep. */
export function showOwn(name, t, value, more = '') {
	append(tile(name).seconds, [{t, value, most: value}], null);
	tile(name).show(value, more);
}

/* The server does not answer. */
export function showNothing() {
	for (const one of tiles.values())
		one.show(null, '');
}

// ---- asking

let span = 'seconds';
let since_ms = null, asked_ms = 0; // of the seconds
let day_ms = 0;

async function askDay() {
	const day = await getJson('/metrics/history?by=minutes');
	day_ms = Date.now();
	for (const name of namesIn(day))
		tile(name).minutes = samplesOf(day, name);
}

/* What is new since it was asked the last time. */
export async function askFigures() {
	const away_ms = Math.abs(Date.now() - asked_ms); // where this clock was set back it is not known, so more is asked
	const missing = Math.min(300, Math.ceil(away_ms / 1000) + 3);
	const data = await getJson(`/metrics/history?by=seconds&last=${missing}`);
	const restarted = since_ms !== null && data.since_ms > since_ms + 1000;
	asked_ms = Date.now();
	for (const name of namesIn(data)) {
		tile(name).kept = true;
		append(tile(name).seconds, samplesOf(data, name), restarted ? data.since_ms : null);
	}
	since_ms = data.since_ms;
	if (span === 'minutes' && Math.abs(Date.now() - day_ms) >= EVERY_MINUTE_MS)
		await askDay();
	return data;
}

/* The mean of the last seconds that are known. */
function latest(samples, n) {
	const known = samples.slice(-n).filter(({value}) => value !== null);
	return known.length > 0 ? known.reduce((sum, {value}) => sum + value, 0) / known.length : null;
}

/* words: figure → what stands below its number. steady: comets tell their counts once a second, so it takes some seconds to see a rate. */
export function showFigures(data, {words, steady}) {
	for (const name of namesIn(data)) {
		const {seconds, grows} = tile(name);
		tile(name).show(latest(seconds, grows ? steady ? 5 : 2 : 1), words[name]);
	}
	const whole = data.since_ms <= data.to_ms - SPANS[span].ms;
	$('since').textContent = whole ? '' : `Kept since ${new Date(data.since_ms).toLocaleString([], {hour12: false})}, when the server was started.`;
	$('since').hidden = whole;
}

for (const button of $('span').querySelectorAll('button'))
	button.addEventListener('click', () => {
		span = button.value;
		day_ms = 0; // who asks wants it as it is now
		for (const other of $('span').querySelectorAll('button'))
			other.setAttribute('aria-pressed', other === button);
		$('span-words').textContent = SPANS[span].words;
		for (const one of tiles.values())
			one.draw();
		dispatchEvent(new Event('comet-look'));
	});
