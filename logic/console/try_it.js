/* try_it: the panel: be a client over WebSocket, push, see it arrive, kick. SPDX-License-Identifier: MIT */
import {Comet} from '/comet.js';
import {JoinedRooms} from '/console/joined.js';
import {key as apiKey, post} from '/console/server.js';

const $ = id => document.getElementById(id);
const ARRIVED_MOST = 200;
const JWT = /^[\w-]+\.[\w-]+\.[\w-]+$/; // as auth.mode=jwt wants it; other tokens are sent as they are
const BODY_SHOWN = 2000; // characters

let comet = null;
let addressGiven = false; // by hand: the server's address does not overwrite it

// ---- fields

const fields = ['mid', 'room', 'url', 'key', 'accepts', 'token', 'target', 'operation', 'message'];
const value = id => $(id).value.trim();
const numbered = new JoinedRooms($('joined'), $('numbered'));

/* Are the fields of this form valid? If not, the first wrong one gets the focus. */
function isValid(form) {
	const wrong = [...form.elements].filter(element => element.willValidate && !element.validity.valid);
	for (const element of form.elements)
		element.toggleAttribute('aria-invalid', false);
	for (const element of wrong) {
		element.setAttribute('aria-invalid', 'true');
		element.closest('details')?.setAttribute('open', '');
	}
	wrong[0]?.focus();
	return wrong.length === 0;
}

function say(id, state, words) {
	$(id).dataset.state = state;
	if ($(id).textContent !== words) // so that it is read out once
		$(id).textContent = words;
}

/* A comet tells its ports, or else the server those of its settings. A comet alone has the page's host, one of a cluster its own. */
export function suggestAddress(about, nodes) {
	const node = nodes.find(({ws_port, wss_port, leaving}) => (ws_port || wss_port) && !leaving);
	const {ws_port, wss_port} = node ?? about;
	const host = about.alone ? location.hostname : /^(\[[^\]]+\]|[^:,]+)/.exec(node?.addrs ?? '')?.[0] ?? location.hostname;
	numbered.kept = about.kept ?? [];
	const secure = location.protocol === 'https:' || (ws_port === 0 && wss_port !== 0);
	const port = secure ? wss_port : ws_port;
	const url = `${secure ? 'wss' : 'ws'}://${host}${port ? `:${port}` : ''}/sub`;
	if (!addressGiven && comet === null && $('url').value !== url)
		$('url').value = url;
	$('chat').href = `/chat.html?${new URLSearchParams({ws: url})}`;
}

// ---- 1: a client

function tokenOptions() {
	const accepts = value('accepts').split(',').map(Number);
	const room = numbered.isKept(value('room')) ? '' : value('room');
	const options = {mid: Number(value('mid')), key: value('key'), room, accepts, platform: 'web', streams: numbered.hasKept && {}};
	const token = value('token');
	return token === '' ? options : {...options, [JWT.test(token) ? 'jwt' : 'token']: token};
}

/* The client's user and room, and the people there once a heartbeat has told their number. */
function where(client, people = 0) {
	const company = people === 0 ? '' : people === 1 ? ', alone' : `, with ${people - 1} more`;
	const rooms = [...client.room === '' ? [] : [`${client.room}${company}`], ...numbered.names];
	return `online as user ${value('mid')}, ${rooms.length === 0 ? 'in no room' : `in ${rooms.join(', ')}`}`;
}

function connect() {
	const mine = new Comet(value('url'), {...tokenOptions(), heartbeat: 5000, backoff: {base: 1000, max: 5000}});
	comet = mine;
	mine.on('state', state => {
		if (state === 'connecting')
			say('client-state', 'wait', 'connecting');
		update();
	});
	mine.on('online', () => say('client-state', 'good', where(mine)));
	mine.on('heartbeat', ({people}) => say('client-state', 'good', where(mine, people)));
	mine.on('lost', ({error, goodbye, delay}) => say('client-state', 'wait',
		`${goodbye ? `closed by the server: ${goodbye.reason}` : error.message}; again in ${Math.ceil(delay / 1000)} s`));
	mine.on('closed', ({error, goodbye}) => {
		say('client-state', error.code === 'closed' ? 'off' : 'bad', goodbye ? `closed by the server: ${goodbye.reason} (code ${goodbye.code})`
			: error.code === 'closed' ? 'not connected' : error.message);
		if (comet === mine)
			comet = null;
		update();
	});
	mine.on('push', show);
	numbered.follow(mine, numbered.isKept(value('room')) ? [value('room')] : []);
	mine.connect();
}

async function join() {
	const mine = comet;
	if (numbered.isKept(value('room'))) {
		numbered.join(value('room'));
		say('client-state', 'good', where(mine));
		return;
	}
	say('client-state', 'wait', value('room') === '' ? 'leaving the room' : `joining ${value('room')}`);
	try {
		await mine.changeRoom(value('room'));
		say('client-state', 'good', where(mine));
	} catch {
		// the events of the connection tell
	}
}

async function kick() {
	try {
		await post(`/goim/kick?${new URLSearchParams({keys: value('key')})}`);
	} catch (error) {
		say('push-state', 'bad', `not kicked: ${error.message}`);
	}
}

function update() {
	const online = comet?.state === 'online';
	$('connect').textContent = comet === null ? 'Connect' : 'Disconnect';
	$('connect').classList.toggle('main', comet === null);
	$('join').disabled = $('kick').disabled = !online;
	for (const id of ['mid', 'url', 'key', 'accepts', 'token'])
		$(id).disabled = comet !== null;
}

// ---- 2: a push

function pushPath() {
	const target = value('target'), operation = value('operation');
	const [type, room] = value('room').split('://');
	const params = {mids: {mids: value('mid')}, keys: {keys: value('key')}, room: {type, room: room ?? ''}, all: {}}[target];
	return `/goim/push/${target}?${new URLSearchParams({operation, ...params})}`;
}

const quoted = text => `'${text.replaceAll("'", String.raw`'\''`)}'`;

/* With a key in use, as a variable: the page shows none. */
function showCurl() {
	const header = apiKey.get() ? '-H "X-Api-Key: $COMET_API_KEY" ' : '';
	const message = $('message').value;
	const flag = message.startsWith('@') ? '--data-raw' : '-d'; // -d @x would send the file x
	$('curl').textContent = `curl ${header}${flag} ${quoted(message)} ${quoted(location.origin + pushPath())}`;
}

/* What became of it, in words; nothing is told of a push to all, nor to a key that may not know. */
function fateOf(told) {
	if (told?.online === undefined)
		return '';
	if (told.online === 0)
		return ': nobody online';
	const connections = `: ${told.online} ${told.online === 1 ? 'connection' : 'connections'}`;
	if (!told.filtered)
		return connections;
	const accepts = `${told.accepts.join(', ') || 'nothing'}${told.accepts_more ? ` and ${told.accepts_more} more` : ''}`;
	const how = told.filtered < told.online ? `, ${told.filtered} of them` : told.online > 1 ? ', all' : ',';
	return `${connections}${how} filtered: ${told.filtered === 1 ? 'it' : 'one'} accepts ${accepts}, not ${value('operation')}`;
}

async function push() {
	say('push-state', 'wait', 'pushing');
	try {
		const told = await post(`${pushPath()}&tell=1`, $('message').value);
		say('push-state', told?.online === 0 || (told?.filtered && told.filtered === told.online) ? 'wait' : 'good',
			`accepted by the server${fateOf(told)}`);
	} catch (error) {
		say('push-state', 'bad', `not accepted: ${error.message}`);
	}
}

async function copy() {
	try {
		await navigator.clipboard.writeText($('curl').textContent);
		$('copy').textContent = 'Copied';
	} catch {
		getSelection().selectAllChildren($('curl'));
		$('copy').textContent = 'Selected';
	}
	setTimeout(() => { $('copy').textContent = 'Copy'; }, 2000);
}

// ---- 3: the pushes that arrive

function show(packet) {
	const line = document.createElement('li'), about = document.createElement('span');
	const text = packet.text();
	about.className = 'about';
	about.textContent = [new Date().toLocaleTimeString([], {hour12: false}), `operation ${packet.op}`,
		...packet.number > 0 ? [`${packet.room} ${packet.number}`] : [],
		`${packet.body.length} ${packet.body.length === 1 ? 'byte' : 'bytes'}`].join(' · ');
	line.append(about, text.length > BODY_SHOWN ? `${text.slice(0, BODY_SHOWN)} …` : text || '(empty)');
	$('arrived').prepend(line);
	while ($('arrived').childElementCount > ARRIVED_MOST)
		$('arrived').lastElementChild.remove();
	$('none').hidden = true;
	$('clear').hidden = false;
}

function clear() {
	$('arrived').replaceChildren();
	$('none').hidden = false;
	$('clear').hidden = true;
}

// ---- wiring

$('key').value = `console-${crypto.getRandomValues(new Uint32Array(1))[0].toString(16).padStart(8, '0')}`;
$('client').addEventListener('submit', event => {
	event.preventDefault();
	if (comet !== null)
		comet.close();
	else if (isValid($('client')))
		connect();
});
$('push').addEventListener('submit', event => {
	event.preventDefault();
	if (isValid($('push')))
		push();
});
$('join').addEventListener('click', join);
$('kick').addEventListener('click', kick);
$('copy').addEventListener('click', copy);
$('clear').addEventListener('click', clear);
$('url').addEventListener('input', () => { addressGiven = true; });
for (const id of fields)
	$(id).addEventListener('input', showCurl);
addEventListener('comet-key', showCurl);
showCurl();
