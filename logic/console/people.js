/* people: who is there: connections of a user, by key, or in a room, with all that is known of them; and sending one away.
 * SPDX-License-Identifier: MIT */
import {ageOf} from '/console/health.js';
import {getJson, post} from '/console/server.js';

const $ = id => document.getElementById(id);
const PAGE = 50, SURE_MS = 4000;

let asked = null; // {words, seen: Map of key → connection, next: Map of path → after}

function say(state, words) {
	$('people-state').dataset.state = state;
	$('people-state').textContent = words;
}

/* Where such words may be found: they may be a user or a key, and with :// a room. */
function pathsOf(words) {
	const split = words.indexOf('://');
	const room = split > 0 ? [`/goim/connections?${new URLSearchParams({type: words.slice(0, split), room: words.slice(split + 3), limit: PAGE})}`] : [];
	return [`/goim/online/users?${new URLSearchParams({users: words, detail: 1, limit: PAGE})}`,
		`/goim/connections?${new URLSearchParams({keys: words})}`, ...room];
}

function cell(text, className = '') {
	const made = document.createElement('td');
	made.textContent = made.title = text;
	made.className = className;
	return made;
}

/* Asks once more before it does it. */
function kickButton(key) {
	const button = document.createElement('button');
	button.type = 'button';
	button.className = 'quiet';
	button.textContent = 'Kick';
	button.setAttribute('aria-label', `Kick ${key}`);
	button.addEventListener('click', async () => {
		if (button.textContent === 'Kick') {
			button.textContent = 'Sure?';
			button.setAttribute('aria-label', `Kick ${key}: sure?`);
			setTimeout(() => {
				button.textContent = 'Kick';
				button.setAttribute('aria-label', `Kick ${key}`);
			}, SURE_MS);
			return;
		}
		button.disabled = true;
		try {
			const {kicked} = await post(`/goim/kick?${new URLSearchParams({keys: key})}`);
			say('good', kicked > 0 ? `${key} was kicked` : `${key} is gone already`);
			button.closest('tr').remove();
			asked.seen.delete(key);
		} catch (error) {
			say('bad', `not kicked: ${error.message}`);
			button.disabled = false;
		}
	});
	const made = document.createElement('td');
	made.append(button);
	return made;
}

function rowOf(c) {
	const row = document.createElement('tr'), head = document.createElement('th');
	const rooms = `${c.rooms.join(', ')}${c.rooms_more ? ` and ${c.rooms_more} more` : ''}`;
	head.scope = 'row';
	head.textContent = head.title = c.key;
	row.append(head, cell(c.user ?? '–'), cell(c.comet), cell(ageOf(Date.now() - c.since_ms), 'number'), cell(`${c.address} ${c.transport}`),
		cell(rooms || '–'), cell(c.operations ? c.operations.join(', ') || 'none' : 'all'), cell(c.queued, 'number'), kickButton(c.key));
	return row;
}

function show(silent) {
	const {words, seen, next} = asked, list = [...seen.values()].sort((a, b) => a.key < b.key ? -1 : 1);
	$('people').replaceChildren(...list.map(rowOf));
	$('more-people').hidden = next.size === 0;
	say(silent.size > 0 ? 'wait' : list.length > 0 ? 'good' : 'off',
		`${list.length}${next.size > 0 ? ' and more' : ''} ${list.length === 1 ? 'connection' : 'connections'} of ${words}` +
		`${silent.size > 0 ? `; no answer from ${[...silent].join(', ')}, whose connections are missing` : ''}`);
}

/* The pages of these paths, into what is shown. */
async function fetchPages(mine, paths) {
	const silent = new Set();
	const pages = await Promise.all(paths.map(path => getJson(path)));
	mine.next = new Map();
	pages.forEach((page, i) => {
		page.connections.forEach(connection => mine.seen.set(connection.key, connection));
		page.silent.forEach(comet => silent.add(comet));
		if (page.next)
			mine.next.set(paths[i].replace(/&after=.*/, ''), page.next);
	});
	return silent;
}

async function ask(mine, paths) {
	asked = mine;
	say('wait', `looking for ${mine.words}`);
	$('more-people').hidden = true;
	try {
		const silent = await fetchPages(mine, paths);
		if (asked === mine)
			show(silent);
	} catch (error) {
		if (asked === mine)
			say('bad', error.message);
	}
}

function search() {
	const words = $('who').value.trim();
	if (words !== '')
		ask({words, seen: new Map(), next: new Map()}, pathsOf(words));
}

/* List a room's connections, as if it had been searched for. */
export function listRoom(room) {
	$('who').value = room;
	search();
	$('people-title').scrollIntoView({block: 'start'});
}

$('search').addEventListener('submit', event => {
	event.preventDefault();
	search();
});
$('more-people').addEventListener('click', () => ask(asked, [...asked.next].map(([path, after]) => `${path}&${new URLSearchParams({after})}`)));
