/* chat: a chat room on comet.js. A line goes to the back end, which pushes it to the room; here the HTTP API of
 * comet is the back end. Addresses: chat.html?ws=ws://HOST:3102/sub&room=live://chat. SPDX-License-Identifier: MIT */
import {Comet} from './comet.js';

const $ = id => document.getElementById(id);
const given = new URLSearchParams(location.search);
const room = given.get('room') ?? 'live://chat';
const scheme = location.protocol === 'https:' ? 'wss' : 'ws';
const comet = new Comet(given.get('ws') ?? `${scheme}://${location.hostname}:3102/sub`, {streams: {}, backoff: {base: 1000, max: 10_000}});

comet.on('state', state => { $('state').textContent = state; });
function show(words) {
	const line = document.createElement('p');
	line.textContent = words;
	$('said').append(line);
}

comet.on('push', packet => show(packet.text()));
comet.on('gap', () => show('– lines are missing here –'));
comet.on('left', ({reason}) => { $('state').textContent = `not in the room: ${reason}`; });
comet.on('closed', ({error}) => { $('state').textContent = `closed: ${error.message}`; });
comet.connect();
comet.join(room);

$('say').addEventListener('submit', async event => {
	event.preventDefault();
	const [type, id] = room.split('://');
	const where = `/goim/push/room?${new URLSearchParams({operation: 1000, type, room: id})}`;
	const reply = await fetch(where, {method: 'POST', body: `${$('name').value}: ${$('text').value}`}).catch(() => null);
	if (reply?.ok)
		$('text').value = '';
	else
		$('state').textContent = reply ? `not sent: ${reply.status}` : 'not sent: no answer';
});
