/* comet.js without a server: framing, back-off, and what it does when a WebSocket behaves badly. node --test runs it.
 * SPDX-License-Identifier: MIT */
import assert from 'node:assert/strict';
import {readFileSync} from 'node:fs';
import {test} from 'node:test';
import {Comet, CometError, Op, decode, delayOf, encode, pack} from '../../examples/web/comet.js';

/* A WebSocket whose other end is the test. */
class Socket {
	static all = [];
	readyState = 0;
	said = [];
	closed = null;
	constructor(url) {
		this.url = url;
		Socket.all.push(this);
	}
	send(data) { this.said.push(decode(data)[0]); }
	close(code) { this.closed = code; this.readyState = 2; }
	// the server's part
	open() { this.readyState = 1; this.onopen({}); }
	say(...packets) {
		const length = packets.reduce((sum, packet) => sum + packet.length, 0);
		const message = new Uint8Array(length);
		packets.reduce((at, packet) => (message.set(packet, at), at + packet.length), 0);
		this.onmessage({data: message.buffer});
	}
	push(op, body) { this.say(encode(Op.RAW, encode(op, body))); }
	/* With streams: pushes, answers and notices stand in one wrapper, in their order. */
	wrap(...packets) { this.say(encode(Op.RAW, Buffer.concat(packets))); }
	answer(body = '') {
		const {op, seq} = this.said.at(-1);
		this.say(encode(op < 100 ? op + 1 : op, body, seq));
	}
	end(code = 1006) { this.readyState = 3; this.onclose({code}); }
}

const FAST = {base: 1, factor: 1, max: 1};
const tick = () => new Promise(setImmediate);

async function until(condition) {
	const end = Date.now() + 10_000;
	while (!condition()) {
		assert.ok(Date.now() < end, `still not: ${condition}`);
		await new Promise(resolve => setTimeout(resolve, 1));
	}
}

function begin(context, options = {}) {
	Socket.all = [];
	const comet = new Comet('ws://x/sub', {WebSocket: Socket, backoff: FAST, mid: 7, room: 'live://1', ...options});
	const events = [];
	for (const name of ['online', 'lost', 'closed', 'goodbye', 'push', 'state', 'heartbeat', 'joined', 'gap', 'left'])
		comet.on(name, detail => events.push([name, detail]));
	context.after(() => comet.close());
	return admitting({comet, events, socket: () => Socket.all.at(-1), named: name => events.filter(([n]) => n === name)});
}

async function online(context, options) {
	const it = begin(context, options);
	const connected = it.comet.connect();
	await tick();
	it.socket().open();
	await tick();
	it.socket().answer();
	await connected;
	return it;
}

test('a packet is what docs/protocol.md says, byte by byte', () => {
	assert.equal(Buffer.from(encode(Op.HEARTBEAT, '', 3)).toString('hex'), '00000010' + '0010' + '0001' + '00000002' + '00000003');
	const [packet] = decode(encode(1000, 'grüße', -1, 0));
	assert.deepEqual([packet.op, packet.seq, packet.ver, packet.text(), packet.pushed], [1000, -1, 0, 'grüße', false]);
});

test('packets in a wrapper are pushes, and all of a message are found in their order', () => {
	const whole = Buffer.concat([encode(3, 'a', 5), encode(Op.RAW, Buffer.concat([encode(1000, 'b'), encode(Op.RAW, 'c')])), encode(13, 'd', 6)]);
	assert.deepEqual(decode(whole).map(p => [p.op, p.text(), p.pushed]),
		[[3, 'a', false], [1000, 'b', true], [Op.RAW, 'c', true], [13, 'd', false]]);
	assert.deepEqual(decode(new Uint8Array(0)), []);
});

test('a message that is no packets is refused, wherever it is cut', () => {
	const good = encode(1000, 'body');
	for (let bytes = 1; bytes < good.length; bytes++)
		assert.throws(() => decode(good.subarray(0, bytes)), CometError);
	for (const [at, value] of [[3, 15], [0, 0xff], [5, 17]]) {
		const bad = Uint8Array.from(good);
		bad[at] = value;
		assert.throws(() => decode(bad), CometError);
	}
});

test('the back-off is jittered, grows and has an end', () => {
	const backoff = {base: 3000, factor: 1.8, max: 300_000};
	assert.equal(delayOf(0, backoff, () => 0), 0);
	assert.equal(delayOf(0, backoff, () => 1), 3000);
	assert.equal(Math.round(delayOf(2, backoff, () => 1)), 9720);
	assert.equal(delayOf(5000, backoff, () => 0.5), 150_000);
	assert.ok(new Set(Array.from({length: 20}, () => delayOf(0))).size > 1);
});

test('who passes no WebSocket where there is none is told so', t => {
	const had = globalThis.WebSocket;
	delete globalThis.WebSocket;
	t.after(() => { if (had) globalThis.WebSocket = had; });
	assert.throws(() => new Comet('ws://x'), /pass one as options.WebSocket/);
});

test('it authenticates with what it was told, and connect() resolves then', async t => {
	const {socket, events, comet} = await online(t, {key: 'k', accepts: [1000, 1001]});
	const [auth] = socket().said;
	assert.equal(auth.op, Op.AUTH);
	assert.deepEqual(auth.json(), {mid: 7, key: 'k', room_id: 'live://1', platform: 'web', accepts: [1000, 1001]});
	assert.equal(socket().binaryType, 'arraybuffer');
	assert.equal(comet.state, 'online');
	assert.deepEqual(events.map(([name, detail]) => name === 'state' ? detail : name), ['connecting', 'online', 'online']);
});

test('answers find their questions in any order, pushes never do', async t => {
	const {socket, comet, named} = await online(t);
	const first = comet.request(2000, 'a'), second = comet.request(2000, 'b');
	const [, a, b] = socket().said;
	socket().push(2000, 'no answer');
	socket().say(encode(2000, 'to b', b.seq), encode(2000, 'to a', a.seq));
	assert.deepEqual([(await first).text(), (await second).text()], ['to a', 'to b']);
	assert.deepEqual(named('push').map(([, packet]) => packet.text()), ['no answer']);
});

test('a lost connection is opened again, with the room and the operations of now', async t => {
	const {socket, comet, named} = await online(t);
	const moved = comet.changeRoom('live://2');
	socket().answer('live://2');
	await moved;
	const wanted = comet.subscribe(1001); // not answered before the end: it is said again
	socket().end();
	await until(() => Socket.all.length === 2);
	const later = comet.unsubscribe(1000);
	socket().open();
	await tick();
	assert.deepEqual(socket().said[0].json().room_id, 'live://2');
	assert.deepEqual(socket().said[0].json().accepts, [1001]);
	socket().answer();
	await Promise.all([wanted, later]);
	assert.equal(named('lost').length, 1);
	assert.equal(named('online').length, 2);
});

test('a token of the application is kept as it is; what changed since is said after it', async t => {
	const {socket, comet} = await online(t, {token: 'opaque'});
	assert.equal(socket().said[0].text(), 'opaque');
	comet.changeRoom('live://2');
	comet.subscribe(1001);
	comet.unsubscribe(1000);
	socket().end();
	await until(() => Socket.all.length === 2);
	socket().open();
	await tick();
	socket().answer();
	await until(() => socket().said.length === 4);
	assert.deepEqual(socket().said.map(p => [p.op, p.text()]),
		[[Op.AUTH, 'opaque'], [Op.CHANGE_ROOM, 'live://2'], [Op.SUB, '1001'], [Op.UNSUB, '1000']]);
});

test('a request whose connection is lost rejects, and none is sent while there is none', async t => {
	const {socket, comet} = await online(t);
	const asked = comet.request(2000);
	socket().end();
	await assert.rejects(asked, {code: 'lost'});
	await assert.rejects(comet.request(2000), {code: 'lost'});
	await assert.rejects(comet.request(2000, 'x'.repeat(4097)), RangeError);
});

test('a function says where to go, and knows who sent it away', async t => {
	const told = [];
	const url = goodbye => {
		told.push(goodbye);
		return `ws://${goodbye?.nodes[0].split(':')[0] ?? 'first'}/sub`;
	};
	Socket.all = [];
	const comet = new Comet(url, {WebSocket: Socket, backoff: FAST});
	t.after(() => comet.close());
	comet.connect();
	await tick();
	Socket.all[0].open();
	await tick();
	Socket.all[0].say(encode(Op.DISCONNECT, '{"code":4,"reason":"draining","nodes":["10.0.0.2:3101",7]}'));
	await until(() => Socket.all.length === 2);
	assert.deepEqual(Socket.all.map(socket => socket.url), ['ws://first/sub', 'ws://10.0.0.2/sub']);
	assert.deepEqual(told[1].nodes, ['10.0.0.2:3101']);
	Socket.all[1].end();
	await until(() => Socket.all.length === 3);
	assert.equal(told[2], null);
});

test('a goodbye that is final ends it, any other does not', async t => {
	for (const [code, final] of [[1, true], [2, true], [5, true], [10, true], [13, true], [3, false], [4, false], [99, false]]) {
		const {socket, comet, named} = await online(t);
		socket().say(encode(Op.DISCONNECT, JSON.stringify({code, reason: 'words'})));
		assert.deepEqual(named('goodbye'), [['goodbye', {code, reason: 'words', final, nodes: []}]]);
		assert.equal(comet.state, final ? 'closed' : 'waiting');
		assert.equal(socket().closed, code === 4 ? null : 1000);
		if (final)
			await assert.rejects(comet.changeRoom('live://2'), {code: 'goodbye'});
		comet.close();
	}
});

test('a server that goes away is read until the next connection is there; with a key until it closes', async t => {
	for (const key of ['', 'k']) {
		const {comet, named} = await online(t, {key, backoff: {base: 60_000, factor: 1, max: 60_000}});
		const [old] = Socket.all;
		const asked = comet.request(2000);
		const {seq} = old.said.at(-1);
		old.say(encode(Op.RAW, encode(1000, 'before')),
			encode(Op.DISCONNECT, '{"code":4,"reason":"draining","nodes":["10.0.0.2:3101"]}'),
			encode(Op.RAW, encode(1000, 'behind')), encode(2000, '', seq));
		await assert.rejects(asked, {code: 'goodbye'});
		old.push(1000, 'while waiting');
		await until(() => Socket.all.length === 2); // within moments, although base is a minute
		const [, next] = Socket.all;
		next.open();
		await tick();
		old.push(1000, 'while connecting');
		assert.equal(old.closed, null);
		next.answer();
		await until(() => comet.state === 'online');
		assert.equal(old.closed, key === '' ? 1000 : null);
		old.push(1000, 'on the old');
		next.push(1000, 'on the new');
		old.end();
		assert.equal(comet.state, 'online');
		assert.deepEqual(named('push').map(([, packet]) => packet.text()), ['before', 'behind', 'while waiting', 'while connecting',
			...key === '' ? [] : ['on the old'], 'on the new']);
		comet.close();
	}
});

test('close() is the end of a connection to a server that goes away, too, and of one that talks nonsense', async t => {
	for (const end of [comet => comet.close(), (comet, old) => old.onmessage({data: 'text'})]) {
		const {comet, named} = await online(t, {key: 'k', backoff: {base: 60_000, factor: 1, max: 60_000}});
		const [old] = Socket.all;
		old.say(encode(Op.DISCONNECT, '{"code":4,"reason":"draining"}'));
		assert.equal(old.closed, null);
		end(comet, old);
		assert.equal(old.closed, 1000);
		old.push(1000, 'too late');
		assert.deepEqual(named('push'), []);
		comet.close();
	}
});

test('connect() says why it never came online', async t => {
	const {socket, comet, named} = begin(t);
	const connected = comet.connect();
	await tick();
	socket().open();
	await tick();
	socket().say(encode(Op.DISCONNECT, '{"code":5,"reason":"bad token"}'));
	await assert.rejects(connected, error => error.code === 'goodbye' && error.message === 'bad token' && error.goodbye.code === 5);
	assert.equal(named('closed').length, 1);
	const again = comet.connect(); // starts over
	await tick();
	socket().open();
	await tick();
	socket().answer();
	await again;
});

test('a JWT goes with the room and the operations of now', async t => {
	let n = 0;
	const {socket, comet} = begin(t, {jwt: async () => `a.b.${++n}`, key: 'k'});
	comet.connect();
	await tick();
	comet.changeRoom('live://2');
	socket().open();
	await tick();
	assert.deepEqual(socket().said[0].json(), {token: 'a.b.1', key: 'k', room_id: 'live://2', platform: 'web', accepts: [1000]});
	socket().answer();
	await tick();
	const renewed = comet.renew();
	await tick();
	assert.equal(socket().said[1].op, Op.AUTH);
	assert.equal(socket().said[1].json().token, 'a.b.2');
	socket().answer();
	await renewed;
	const in_vain = comet.renew();
	await tick();
	socket().say(encode(Op.AUTH, '', socket().said.at(-1).seq));
	await assert.rejects(in_vain, {code: 'unchanged'});
	assert.equal(comet.state, 'online');
	socket().say(encode(Op.DISCONNECT, '{"code":13,"reason":"the token has expired"}'));
	assert.equal(comet.state, 'waiting');
});

test('a function is asked for a new token after a refusal', async t => {
	let n = 0;
	const {socket, comet} = begin(t, {token: async () => `token ${++n}`});
	comet.connect();
	await tick();
	socket().open();
	await tick();
	socket().say(encode(Op.DISCONNECT, '{"code":5,"reason":"expired"}'));
	await until(() => Socket.all.length === 2);
	socket().open();
	await tick();
	assert.equal(socket().said[0].text(), 'token 2');
});

test('a function of the application that fails costs that connection only', async t => {
	const urls = [new Error('nobody knows where'), 'ws://x/sub'], made = [undefined, '{"mid":7}'];
	const url = () => {
		const one = urls.length > 1 ? urls.shift() : urls[0];
		if (one instanceof Error)
			throw one;
		return one;
	};
	Socket.all = [];
	const comet = new Comet(url, {WebSocket: Socket, backoff: FAST, token: () => made.shift(), accepts: []}), lost = [];
	t.after(() => comet.close());
	comet.on('lost', ({error}) => lost.push(error.message));
	const connected = comet.connect();
	for (const n of [1, 2]) {
		await until(() => Socket.all.length === n);
		Socket.all.at(-1).open();
		await tick();
	}
	Socket.all.at(-1).answer();
	await connected;
	assert.deepEqual([lost[0], lost.length], ['nobody knows where', 2]);
});

test('positions that cannot be saved keep nobody from closing', async t => {
	const uncaught = [];
	const it = await streaming(t, {positions: {save: () => { throw new Error('no space'); }}});
	const others = process.listeners('uncaughtException');
	process.removeAllListeners('uncaughtException').on('uncaughtException', error => uncaught.push(error.message));
	t.after(() => others.reduce((on, one) => on.on('uncaughtException', one), process.removeAllListeners('uncaughtException')));
	it.comet.join('chat://1');
	await until(() => it.joins().length === 1);
	answerJoin(it, [{id: 'chat://1', at: 5, gap: false, replay: 0}]);
	it.comet.close();
	assert.equal(it.comet.state, 'closed');
	assert.equal(it.named('closed').length, 1);
	await until(() => uncaught.length > 0);
	assert.deepEqual(uncaught, ['no space']);
});

test('a token is there before the connection, which a server keeps open without one for no longer than some seconds', async t => {
	const gives = [];
	const {socket, comet, named} = begin(t, {token: () => new Promise((...give) => gives.push(give)), timeout: 150});
	const connected = comet.connect();
	gives[0][1](new Error('no'));
	await until(() => gives.length === 3); // of the second nothing comes
	assert.deepEqual(named('lost').map(([, {error}]) => error.message), ['no', 'no token in time']);
	assert.equal(Socket.all.length, 0);
	gives[1][0]('late');
	await tick();
	assert.equal(Socket.all.length, 0);
	gives[2][0]('in time');
	await tick();
	socket().open();
	assert.equal(socket().said[0].text(), 'in time');
	socket().answer();
	await connected;
});

test('closed while its token is made it does not open a connection, unless it is asked to again', async t => {
	const gives = [];
	const {comet} = begin(t, {token: () => new Promise(give => gives.push(give))});
	for (const again of [false, true]) {
		comet.connect();
		comet.close();
		if (again)
			comet.connect();
		for (const give of gives)
			give('a token');
		await tick();
		assert.equal(Socket.all.length, again ? 1 : 0);
	}
});

test('a server that does not answer is left, at every stage', async t => {
	const {socket, comet, named} = begin(t, {timeout: 150, heartbeat: 20});
	comet.connect();                             // no connection
	await until(() => Socket.all.length === 2);
	socket().open();                             // no answer to AUTH
	await until(() => Socket.all.length === 3);
	socket().open();                             // no answer to a heartbeat
	await tick();
	socket().answer();
	await until(() => Socket.all.length === 4);
	assert.equal(Socket.all[2].said.at(-1).op, Op.HEARTBEAT);
	assert.deepEqual(named('lost').map(([, {error}]) => error.code), ['timeout', 'timeout', 'timeout']);
});

test('while something comes an answer may take longer', async t => {
	const it = await online(t, {timeout: 200, heartbeat: 20});
	const asked = it.comet.request(2000);
	for (const end = performance.now() + 700; performance.now() < end; await tick())
		it.socket().push(1000, 'missed'); // a server replays that before it reads on
	assert.equal(it.comet.state, 'online');
	await assert.rejects(asked, {code: 'timeout'});
	assert.equal(it.named('lost').length, 1);
});

test('heartbeats go on while they are answered, and tell the people in the room', async t => {
	const {socket, named} = await online(t, {heartbeat: 5});
	for (let n = 0; n < 3; n++) {
		await until(() => socket().said.length === n + 2);
		socket().answer(new Uint8Array([0, 0, 0, 9]));
		await tick();
	}
	assert.deepEqual(named('heartbeat').map(([, {people}]) => people), [9, 9, 9]);
});

test('garbage from the server ends that connection', async t => {
	for (const data of ['text', new ArrayBuffer(3), encode(1000, 'x').subarray(1)]) {
		const {socket, named, comet} = await online(t);
		socket().onmessage({data});
		assert.equal(named('lost')[0][1].error.code, 'protocol');
		comet.close();
	}
});

test('close() is for good, also when a listener calls it', async t => {
	const {socket, comet, named} = await online(t);
	comet.on('push', () => comet.close());
	const timers = t.mock.method(globalThis, 'setTimeout');
	socket().say(encode(Op.RAW, Buffer.concat([encode(1000, '1'), encode(1000, '2')])));
	assert.equal(named('push').length, 1);
	assert.equal(comet.state, 'closed');
	socket().end();
	assert.equal(timers.mock.callCount(), 0, 'nothing will bring it back');
	assert.equal(Socket.all.length, 1);
	await assert.rejects(comet.changeRoom('x://1'), {code: 'closed'});
});

test('closed by a listener it asks for nothing more, and does not come back', async t => {
	const whens = ['state connecting', 'state online', 'online', 'lost', 'left'];
	for (const when of whens) {
		const it = begin(t, {streams: {}, timeout: 5, heartbeat: 20});
		const {comet} = it, [name, state] = when.split(' ');
		comet.on(name, detail => (state === undefined || detail === state) && comet.close());
		comet.join('chat://1');
		comet.join('chat://2', {ticket: 'x'.repeat(4096)});
		const connected = comet.connect();
		connected.catch(() => {});
		await tick();
		if (when !== 'state connecting') {
			it.socket().open();
			comet.changeRoom('live://2');
			await tick();
			it.socket().answer(KNOWS);
			await tick();
			if (it.socket().said.at(-1).op === Op.CHANGE_ROOM)
				it.socket().answer('live://2');
			await tick();
		}
		if (when === 'lost')
			it.socket().end();
		await new Promise(resolve => setTimeout(resolve, 50)); // what it asks in vain is given up after 5 ms
		assert.equal(comet.state, 'closed', when);
		assert.ok(Socket.all.length <= 1, when);
		assert.equal(it.named('closed').length, 1, when);
	}
});

test('a goodbye right behind the answer to AUTH is the end of that connection', async t => {
	const it = begin(t, {heartbeat: 20, timeout: 20});
	const connected = it.comet.connect();
	await tick();
	it.socket().open();
	await tick();
	const first = it.socket(), {seq} = first.said[0];
	first.say(encode(Op.AUTH_REPLY, '', seq), encode(Op.DISCONNECT, '{"code":9,"reason":"late"}'));
	assert.equal(it.comet.state, 'waiting');
	await until(() => Socket.all.length === 2);
	assert.deepEqual(it.named('online'), []);
	it.socket().open();
	await tick();
	it.socket().answer();
	await connected;
	assert.deepEqual(it.named('state').map(([, state]) => state), ['connecting', 'waiting', 'connecting', 'online']);
});

test('a URL that is none is told by connect()', async t => {
	class Picky { constructor() { throw new SyntaxError('no URL'); } }
	const {comet} = begin(t, {WebSocket: Picky});
	await assert.rejects(comet.connect(), SyntaxError);
	assert.equal(comet.state, 'closed');
});

test('back-off grows while connections do not last, and starts over after one that did', async t => {
	const {socket, comet, named} = await online(t, {backoff: {base: 1, factor: 2, max: 64, stable: 3_600_000}});
	const at = t.mock.method(Math, 'random', () => 1);
	socket().end();
	await until(() => Socket.all.length === 2);
	socket().end();
	await until(() => Socket.all.length === 3);
	socket().open();
	await tick();
	socket().answer();
	await until(() => comet.state === 'online');
	const later = Date.now() + 3_600_000;
	t.mock.method(Date, 'now', () => later);
	socket().end();
	at.mock.restore();
	assert.deepEqual(named('lost').map(([, {delay}]) => delay), [1, 2, 1]);
});

// ---- streams

const KNOWS = JSON.stringify({v: 1, max_body: 120, max_rooms: 100});

function numbered(room, number, body, op = 1000) {
	const name = Buffer.from(room), head = Buffer.alloc(5);
	head.writeUInt32BE(Math.floor(number / 2 ** 32));
	head[4] = name.length;
	return encode(op, Buffer.concat([head, name, Buffer.from(body)]), number % 2 ** 32 | 0, 4);
}

/* Online, with streams that the server knows. */
async function streaming(context, streams = true) {
	const it = begin(context, {streams});
	it.comet.connect();
	await it.admit();
	return it;
}

/* The next connection comes up. */
function admitting(it) {
	it.admit = async (said = KNOWS) => {
		const seen = Socket.all.length;
		await until(() => it.socket()?.readyState === 0 && it.socket().onopen);
		it.socket().open();
		await until(() => it.socket().said.length > 0);
		it.socket().answer(said);
		await tick();
		return seen;
	};
	it.joins = () => it.socket().said.filter(({op}) => op === Op.JOIN);
	it.bodies = () => it.named('push').map(([, packet]) => packet.text());
	return it;
}

/* The answer to the last JOIN, with what follows in the same message. */
function answerJoin(it, rooms, ...more) {
	const {seq} = it.joins().at(-1);
	it.socket().wrap(encode(Op.JOIN_REPLY, JSON.stringify({rooms}), seq), ...more);
}

const BIG = 1_795_999_887_666_400; // beyond 32 bits, as numbers are

test('rooms are packed into as few bodies as they fit into', () => {
	const rooms = ['a', 'bb', 'c'.repeat(40), 'd'].map(room => JSON.stringify(room));
	const bodies = pack(rooms, 30);
	assert.deepEqual(bodies.map(body => JSON.parse(body).rooms), [['a', 'bb'], ['c'.repeat(40)], ['d']]);
	assert.deepEqual(pack([], 30), []);
});

test('a push of ver 4 says its number and room, beyond 32 bits; a torn one ends the connection', async t => {
	const it = await streaming(t);
	it.comet.join('chat://ü');
	await until(() => it.joins().length === 1);
	answerJoin(it, [{id: 'chat://ü', at: BIG, gap: false, replay: 1}], numbered('chat://ü', BIG + 1, 'hello'));
	const [[, packet]] = it.named('push');
	assert.deepEqual([packet.room, packet.number, packet.op, packet.text()], ['chat://ü', BIG + 1, 1000, 'hello']);
	it.socket().wrap(encode(1000, new Uint8Array([0, 0, 0, 0, 9, 65]), 1, 4));
	assert.equal(it.named('lost')[0][1].error.code, 'protocol');
});

test('it joins again from its position, in packets that the server takes, and gets what it missed once', async t => {
	const it = await streaming(t);
	assert.deepEqual(it.socket().said[0].json().streams, {});
	const rooms = ['chat://1', 'chat://2', 'chat://3', 'chat://4'];
	const joined = rooms.map(room => it.comet.join(room));
	await until(() => it.joins().length === 4);
	for (const [i, ask] of it.joins().entries()) {
		const at = BIG + i * 100;
		it.socket().wrap(encode(Op.JOIN_REPLY, JSON.stringify({rooms: [{id: rooms[i], at, gap: false, replay: 0}]}), ask.seq));
	}
	assert.deepEqual(await joined[1], {at: BIG + 100, gap: false, replay: 0});
	it.socket().wrap(numbered('chat://1', BIG + 1, 'one'), numbered('chat://1', BIG + 2, 'two'));
	it.socket().end();
	await it.admit();
	await until(() => it.joins().length === 2);
	const asked = it.joins().map(ask => ask.json().rooms);
	assert.deepEqual(asked.flat().map(({id, since}) => [id, since]),
		[['chat://1', BIG + 2], ['chat://2', BIG + 100], ['chat://3', BIG + 200], ['chat://4', BIG + 300]]);
	assert.ok(it.joins().every(ask => ask.body.length <= 120));
	const {seq} = it.joins()[0];
	it.socket().wrap(
		numbered('chat://1', BIG + 3, 'too early'), // no answer yet: of no membership of ours
		encode(Op.JOIN_REPLY, JSON.stringify({rooms: asked[0].map(({id, since}) => ({id, at: since, gap: false, replay: 1}))}), seq),
		numbered('chat://1', BIG + 2, 'two again'), numbered('chat://1', BIG + 3, 'three'));
	assert.deepEqual(it.bodies(), ['one', 'two', 'three']);
	assert.equal(it.named('gap').length, 0);
	assert.equal(it.comet.positions['chat://1'], BIG + 3);
});

test('what is missing is told: by the answer, by a notice, and by a number that cannot be', async t => {
	const it = await streaming(t);
	it.comet.join('chat://1', {since: 5, last: 2});
	await until(() => it.joins().length === 1);
	assert.deepEqual(it.joins()[0].json().rooms, [{id: 'chat://1', since: 5, last: 2}]);
	answerJoin(it, [{id: 'chat://1', at: BIG, gap: true, replay: 0, reload_ms: 40}], numbered('chat://1', BIG + 1, 'on'));
	it.socket().wrap(encode(Op.NOTICE, JSON.stringify({room: 'chat://1', at: BIG + 50, gap: true, reload_ms: 7})),
		numbered('chat://1', BIG + 51, 'and on'), numbered('chat://1', BIG + 60, 'wrong'));
	assert.deepEqual(it.named('gap').map(([, {at, reloadAfter}]) => [at, reloadAfter]), [[BIG, 40], [BIG + 50, 7], [BIG + 59, 0]]);
	assert.deepEqual(it.bodies(), ['on', 'and on', 'wrong']);
});

test('pushes without a number come, but none of a room that was left', async t => {
	const it = await streaming(t);
	it.comet.join('plain://1');
	await until(() => it.joins().length === 1);
	answerJoin(it, [{id: 'plain://1', at: 0, gap: false, replay: 0}], numbered('plain://1', 0, 'joined'));
	it.socket().wrap(numbered('', 0, 'to a key'), numbered('live://1', 0, 'op 12'));
	it.comet.leave();
	assert.deepEqual(it.socket().said.at(-1).json(), {rooms: ['plain://1']});
	it.socket().wrap(numbered('plain://1', 0, 'left'));
	assert.deepEqual(it.bodies(), ['joined', 'to a key', 'op 12']);
});

test('a refused room is told once and not asked for again; one that may be later is', async t => {
	const it = await streaming(t);
	const refused = it.comet.join('private://1');
	await until(() => it.joins().length === 1);
	answerJoin(it, [{id: 'private://1', error: 403, reason: 'not granted'}]);
	await assert.rejects(refused, {code: 'refused', message: 'not granted'});
	assert.deepEqual(it.named('left').map(([, left]) => left), [{room: 'private://1', reason: 'not granted'}]);
	const later = it.comet.join('chat://1');
	await until(() => it.joins().length === 2);
	const refusedAt = performance.now();
	answerJoin(it, [{id: 'chat://1', error: 503, reason: 'not now', retry_ms: 0}]);
	await until(() => it.joins().length === 3);
	assert.ok(performance.now() - refusedAt > 490, 'a server that says at once is not asked again and again');
	answerJoin(it, [{id: 'chat://1', at: 3, gap: false, replay: 0}]);
	assert.equal((await later).at, 3);
	it.socket().wrap(encode(Op.NOTICE, JSON.stringify({room: 'chat://1', left: 'expired'})));
	assert.equal(it.named('left').at(-1)[1].reason, 'expired');
	assert.deepEqual(it.comet.positions, {'chat://1': 3}); // with a new ticket it goes on
	it.comet.join('chat://1');
	await until(() => it.joins().length === 4);
	assert.equal(it.joins()[3].json().rooms[0].since, 3);
	it.comet.leave('chat://1');
	assert.deepEqual(it.comet.positions, {});
});

test('a room that is asked for as it comes online is asked for once; of two wishes the later one counts', async t => {
	const it = begin(t, {streams: true});
	it.comet.on('online', () => it.comet.join('chat://1', {last: 2}));
	it.comet.connect();
	await it.admit();
	await until(() => it.joins().length > 0);
	await tick();
	assert.deepEqual(it.joins().map(join => join.json()), [{rooms: [{id: 'chat://1', last: 2}]}]);
	it.comet.join('chat://1', {last: 2});
	await until(() => it.joins().length === 2);
	const answer = JSON.stringify({rooms: [{id: 'chat://1', at: 5, gap: false, replay: 2}]});
	for (const {seq} of it.joins())
		it.socket().wrap(encode(Op.JOIN_REPLY, answer, seq), numbered('chat://1', 6, 'six'), numbered('chat://1', 7, 'seven'));
	assert.deepEqual(it.bodies(), ['six', 'seven']);
	assert.equal(it.named('joined').length, 1);
	assert.equal(it.comet.positions['chat://1'], 7);
});

test('a room whose JOIN is longer than the server takes is refused; it would end the connection', async t => {
	const it = await streaming(t);
	await assert.rejects(it.comet.join('chat://1', {ticket: 'x'.repeat(200)}), {code: 'refused', message: /longer than the server takes/});
	it.comet.join('chat://2');
	await until(() => it.joins().length === 1);
	assert.deepEqual(it.joins()[0].json().rooms, [{id: 'chat://2'}]);
	assert.deepEqual(it.named('left').map(([, {room}]) => room), ['chat://1']);
});

/* What no good server says: in op 8, to a JOIN of chat://1, and in a NOTICE. The clients in Python and C are shown the same. */
const WRONG = JSON.parse(readFileSync(new URL('wrong_answers.json', import.meta.url)));

test('answers that no good server gives end the connection, and the next one is as ever', async t => {
	const it = await streaming(t);
	it.comet.join('chat://1');
	for (const answer of WRONG.joins) {
		await until(() => it.joins().length === 1);
		it.socket().wrap(encode(Op.JOIN_REPLY, answer, it.joins()[0].seq));
		await it.admit();
	}
	for (const notice of WRONG.notices) {
		it.socket().wrap(encode(Op.NOTICE, notice));
		await it.admit();
	}
	const lost = it.named('lost').length;
	assert.equal(lost, WRONG.joins.length + WRONG.notices.length);
	for (const welcome of WRONG.welcomes) {
		it.socket().end();
		await it.admit(welcome);
		await until(() => it.socket().readyState === 0);
		await it.admit();
	}
	const words = it.named('lost').map(([, {error}]) => error.code === 'protocol' ? error.message : 'an end').filter(said => said !== 'an end');
	assert.deepEqual(new Set(words.slice(0, WRONG.joins.length)), new Set(['the server sent an answer to JOIN that is none']));
	assert.deepEqual(new Set(words.slice(WRONG.joins.length, lost)), new Set(['the server sent a NOTICE that is none']));
	assert.equal(words.slice(lost).length, WRONG.welcomes.length);
	await until(() => it.joins().length === 1);
	answerJoin(it, [{id: 'chat://1', at: 5, gap: false, replay: 0}], numbered('chat://1', 6, 'on'));
	assert.deepEqual(it.bodies(), ['on']);
	it.socket().wrap(numbered('chat://1', 2 ** 53, 'beyond all numbers'));
	await it.admit();
	assert.deepEqual([it.bodies().length, it.named('gap').length, it.named('left').length], [1, 0, 0]);
});

/* A number below n that is the same in each run. */
function dice(seed) {
	return n => (seed = (Math.imul(seed, 1103515245) + 12345) >>> 0) % n;
}

test('whatever comes, it is there for the next connection', async t => {
	const it = await streaming(t), roll = dice(7), seen = {joined: 0, lost: 0};
	const good = {
		notice: () => ({room: ['chat://1', 'led://1', ''][roll(3)], at: roll(9), ...[{gap: true, reload_ms: 1}, {by: 'server'}, {left: 'x'}][roll(3)]}),
		join: () => ({rooms: [{id: 'chat://1', at: roll(9), gap: roll(2) > 0, replay: 0, reload_ms: 1}]}),
		welcome: () => ({v: 1, max_body: 4096, max_rooms: 100, user: {at: roll(9), gap: roll(2) > 0, replay: 0, reload_ms: 1}}),
	};
	const mangled = said => {
		const text = JSON.stringify(said), at = roll(text.length);
		const put = ['', '"', '0', '-', '[', '}', ',', '9'.repeat(20), 'null'][roll(9)];
		return roll(3) === 0 ? text : text.slice(0, at) + put + text.slice(at + roll(4));
	};
	it.comet.join('chat://1');
	for (let i = 0; i < 400; i++) {
		it.socket().end();
		await it.admit(mangled(good.welcome()));
		for (let n = roll(4); n > 0 && it.socket().readyState === 1; n--) {
			const [join] = it.joins();
			it.socket().wrap(roll(3) > 0 || join === undefined ? encode(Op.NOTICE, mangled(good.notice()))
				: encode(Op.JOIN_REPLY, mangled(good.join()), join.seq),
			numbered(['chat://1', 'led://1', ''][roll(3)], roll(12), 'x'));
		}
	}
	it.socket().end();
	await it.admit();
	it.comet.leave();
	it.comet.join('chat://2');
	await until(() => it.joins().some(join => join.json().rooms.some(({id}) => id === 'chat://2')));
	const {seq} = it.joins().find(join => join.json().rooms.some(({id}) => id === 'chat://2'));
	it.socket().wrap(encode(Op.JOIN_REPLY, '{"rooms":[{"id":"chat://2","at":5,"gap":false}]}', seq), numbered('chat://2', 6, 'on'));
	assert.equal(it.bodies().at(-1), 'on');
	for (const [name] of it.events)
		seen[name]++;
	assert.ok(seen.joined > 20 && it.named('lost').some(([, {error}]) => error.code === 'protocol'), JSON.stringify(seen));
});

test('a server leads into no more rooms than it lets in, and what nobody asked for is forgotten', async t => {
	const it = await streaming(t), notice = said => encode(Op.NOTICE, JSON.stringify(said));
	const lead = room => it.socket().wrap(notice({room, at: 7, by: 'server'}));
	for (let i = 0; i < 300; i++) {
		lead(`a://${i}`);
		it.socket().wrap(notice({room: `a://${i}`, left: 'kicked'}));
	}
	assert.deepEqual(it.comet.positions, {});
	for (let i = 0; i < 200; i++)
		lead(`b://${i}`);
	lead('b://0');
	assert.equal(it.named('lost').length, 0);
	lead('c://1');
	assert.equal(it.named('lost')[0][1].error.message, 'the server sent us into more rooms than it lets in');
	assert.equal(Object.keys(it.comet.positions).length, 200);
});

const led = (room, at) => encode(Op.NOTICE, JSON.stringify({room, at, by: 'server'}), 0);

test('led into a room for which it has asked already it goes on from the answer', async t => {
	const it = await streaming(t);
	it.comet.join('chat://1', {last: 3});
	await until(() => it.joins().length === 1);
	it.socket().wrap(led('chat://1', 5), numbered('chat://1', 6, 'too early'));
	answerJoin(it, [{id: 'chat://1', at: 5, gap: false, replay: 3}], ...[6, 7, 8].map(n => numbered('chat://1', n, `n${n}`)));
	assert.deepEqual(it.bodies(), ['n6', 'n7', 'n8']);
	assert.equal(it.named('joined').length, 1);
	it.socket().wrap(encode(Op.NOTICE, '{"room":"chat://1","left":"kicked"}', 0), led('chat://1', 8), numbered('chat://1', 9, 'n9'));
	assert.equal(it.bodies().at(-1), 'n9');
});

test('what the application wants is asked for before what a back end wanted', async t => {
	const it = await streaming(t);
	it.socket().wrap(...[1, 2, 3].map(n => led(`live://${n}`, 0)));
	it.comet.join('chat://1');
	it.comet.join('live://3');
	it.socket().end();
	await it.admit();
	await until(() => it.joins().length > 0);
	assert.deepEqual(it.joins().flatMap(ask => ask.json().rooms.map(({id}) => id)), ['chat://1', 'live://3', 'live://1', 'live://2']);
});

test('a state that comes after its connection was lost changes nothing on the next one', async t => {
	const gives = [];
	const it = await streaming(t, {state: () => new Promise(give => gives.push(give))});
	it.comet.join('chat://1');
	await until(() => gives.length === 1);
	it.socket().end();
	await it.admit();
	await until(() => gives.length === 2);
	gives[1](70);
	await until(() => it.joins().length === 1);
	answerJoin(it, [{id: 'chat://1', at: 70, gap: false, replay: 0}], numbered('chat://1', 71, 'one'));
	gives[0](60);
	await tick();
	it.socket().wrap(numbered('chat://1', 72, 'two'));
	assert.deepEqual(it.bodies(), ['one', 'two']);
	assert.deepEqual(it.comet.positions, {'chat://1': 72});
});

test('a wish does not stand for the state that a gap asks for, but a position does', async t => {
	let loads = 0;
	const it = await streaming(t, {state: async () => 60 + ++loads});
	it.comet.join('chat://1');
	for (const [n, wish, loaded] of [[1, {}, 2], [2, {since: 80}, 2]]) {
		await until(() => it.joins().length === n);
		answerJoin(it, [{id: 'chat://1', at: 61, gap: false, replay: 0}]);
		it.socket().wrap(encode(Op.NOTICE, '{"room":"chat://1","at":70,"gap":true,"reload_ms":60000}', 0));
		it.comet.join('chat://1', wish);
		await until(() => it.joins().length === n + 1);
		assert.equal(loads, loaded);
		assert.equal(it.joins().at(-1).json().rooms[0].since, wish.since ?? 62);
	}
});

test('a position is not one to keep before the state after a gap is loaded', async t => {
	let loads = 0;
	const it = await streaming(t, {state: async () => 60 + ++loads});
	it.comet.join('chat://1');
	await until(() => it.joins().length === 1);
	answerJoin(it, [{id: 'chat://1', at: 61, gap: false, replay: 0}]);
	assert.deepEqual(it.comet.positions, {'chat://1': 61});
	it.socket().wrap(encode(Op.NOTICE, '{"room":"chat://1","at":70,"gap":true,"reload_ms":50}', 0), numbered('chat://1', 71, 'x'));
	assert.deepEqual([it.bodies(), it.comet.positions], [['x'], {}]);
	await until(() => it.joins().length === 2);
	assert.deepEqual(it.comet.positions, {'chat://1': 62});
});

test('a server says how long a body may be, also to leave() and renew()', async t => {
	const long = 'x'.repeat(5000), it = begin(t, {streams: {}, jwt: () => long});
	it.comet.connect();
	await it.admit(JSON.stringify({v: 1, max_body: 20_000, max_rooms: 1000}));
	for (let i = 0; i < 300; i++)
		it.comet.join(`chat://a-room-with-a-longer-name-${i}`);
	const left = it.comet.leave();
	assert.ok(it.socket().said.at(-1).body.length > 4096);
	it.socket().answer('{"rooms":0}');
	await left;
	const renewed = it.comet.renew();
	await until(() => it.socket().said.at(-1).op === Op.AUTH);
	it.socket().answer();
	await renewed;
	await assert.rejects(it.comet.request(2000, 'x'.repeat(20_001)), RangeError);
});

test('with the connection a room is left', async t => {
	const it = await streaming(t);
	it.comet.join('chat://1');
	const left = it.comet.leave('chat://1');
	it.socket().end();
	await left;
});

test('what was delivered is confirmed before it closes', async t => {
	const it = begin(t, {streams: {}});
	it.comet.connect();
	await it.admit(JSON.stringify({v: 1, max_body: 120, max_rooms: 100, user: {at: 5, gap: false, replay: 1}}));
	it.socket().wrap(numbered('', 6, 'six'));
	const socket = it.socket();
	it.comet.close();
	assert.equal(socket.said.at(-1).op, Op.ACK);
	assert.equal(Buffer.from(socket.said.at(-1).body).readBigUInt64BE(), 6n);
});

test('without a position what the key has not confirmed is asked for', async t => {
	const it = begin(t, {key: 'k', streams: {unacked: true}});
	const knowing = at => JSON.stringify({...JSON.parse(KNOWS), user: {at, gap: true, replay: 1, reload_ms: 5}});
	it.comet.connect();
	await it.admit(knowing(BIG));
	assert.deepEqual(it.socket().said[0].json().streams, {user: 'unacked'});
	it.socket().wrap(numbered('', BIG + 1, 'kept'));
	assert.deepEqual(it.named('gap').map(([, {room, at}]) => [room, at]), [['', BIG]]);
	it.socket().end();
	await it.admit(knowing(BIG + 1));
	assert.deepEqual(it.socket().said[0].json().streams, {user: BIG + 1});
	assert.deepEqual(it.bodies(), ['kept']);
});

test('a state is loaded first, and anew after a gap; the pushes go on behind it', async t => {
	const states = [10, 30], asked = [];
	const it = await streaming(t, {state: async room => (asked.push(room), states.shift())});
	it.comet.join('chat://1');
	await until(() => it.joins().length === 1);
	assert.equal(it.joins()[0].json().rooms[0].since, 10);
	answerJoin(it, [{id: 'chat://1', at: 10, gap: false, replay: 1}], numbered('chat://1', 11, 'a'));
	it.socket().wrap(encode(Op.NOTICE, JSON.stringify({room: 'chat://1', at: 40, gap: true, reload_ms: 1})),
		numbered('chat://1', 41, 'seen before the state'));
	await until(() => it.joins().length === 2);
	assert.equal(it.joins()[1].json().rooms[0].since, 30);
	it.socket().wrap(numbered('chat://1', 42, 'of the membership that ends'));
	answerJoin(it, [{id: 'chat://1', at: 30, gap: false, replay: 2}], numbered('chat://1', 31, 'b'), numbered('chat://1', 32, 'c'));
	assert.deepEqual(it.bodies(), ['a', 'seen before the state', 'b', 'c']);
	assert.deepEqual(asked, ['chat://1', 'chat://1']);
	assert.equal(it.named('gap').length, 1);
});

test('a gap whose state was not loaded before the connection is lost is loaded after it', async t => {
	const states = [10, 30];
	const it = await streaming(t, {state: () => states.shift()});
	it.comet.join('chat://1');
	await until(() => it.joins().length === 1);
	answerJoin(it, [{id: 'chat://1', at: 10, gap: false, replay: 0}]);
	it.socket().wrap(encode(Op.NOTICE, JSON.stringify({room: 'chat://1', at: 40, gap: true, reload_ms: 100_000})));
	it.socket().end();
	await it.admit();
	await until(() => it.joins().length === 1);
	assert.equal(it.joins()[0].json().rooms[0].since, 30);
});

test('positions outlive the page', async t => {
	const saved = [];
	const positions = {load: async () => ({'chat://1': 70, 'chat://2': 80}), save: all => saved.push({...all})};
	const it = await streaming(t, {positions});
	it.comet.join('chat://1');
	await until(() => it.joins().length === 1);
	assert.equal(it.joins()[0].json().rooms[0].since, 70);
	answerJoin(it, [{id: 'chat://1', at: 70, gap: false, replay: 1}], numbered('chat://1', 71, 'a'));
	it.comet.join('chat://2');
	await until(() => it.joins().length === 2);
	assert.equal(it.joins()[1].json().rooms[0].since, 80);
	it.comet.leave('chat://2');
	it.comet.join('chat://2');
	await until(() => it.joins().length === 3);
	assert.equal(it.joins()[2].json().rooms[0].since, undefined);
	it.comet.leave('chat://2');
	it.comet.close();
	assert.deepEqual(saved, [{'chat://1': 71}]);
});

test('positions are loaded once for all rooms, and again after that has failed', async t => {
	let loads = 0;
	const load = () => {
		if (++loads === 1)
			throw new Error('not now');
		return {'chat://1': 70, 'chat://2': 80};
	};
	const it = begin(t, {streams: {positions: {load}}});
	it.comet.join('chat://1');
	it.comet.join('chat://2');
	it.comet.connect();
	// AUTH would have to say where the user's stream goes on
	await until(() => it.named('lost').length === 1);
	assert.equal(it.named('lost')[0][1].error.message, 'not now');
	await it.admit();
	const asked = () => it.joins().flatMap(ask => ask.json().rooms.map(({id, since}) => [id, since]));
	await until(() => asked().length === 2);
	assert.deepEqual(asked(), [['chat://1', 70], ['chat://2', 80]]);
	assert.equal(loads, 2);
});

test('a room that is left between two connections is not joined by the next', async t => {
	const it = await streaming(t);
	it.comet.join('chat://1');
	await until(() => it.joins().length === 1);
	answerJoin(it, [{id: 'chat://1', at: 5, gap: false, replay: 0}]);
	it.socket().end();
	await it.comet.leave('chat://1');
	await it.admit();
	it.comet.join('chat://2');
	await until(() => it.joins().length === 1);
	assert.deepEqual(it.joins()[0].json().rooms, [{id: 'chat://2'}]);
});

test('a room that is left while its ticket is fetched is not joined', async t => {
	const it = await streaming(t);
	let give;
	const refused = it.comet.join('chat://1', {ticket: () => new Promise(resolve => { give = resolve; })});
	await until(() => give !== undefined);
	it.comet.leave('chat://1');
	await assert.rejects(refused, {code: 'refused', message: 'left again'});
	give('a ticket');
	it.comet.join('chat://2');
	await until(() => it.joins().length > 0);
	await tick();
	assert.deepEqual(it.joins().flatMap(ask => ask.json().rooms), [{id: 'chat://2'}]);
});

test('of a server that goes away the next push counts, and no other', async t => {
	const it = await streaming(t);
	it.comet.join('chat://1');
	await until(() => it.joins().length === 1);
	answerJoin(it, [{id: 'chat://1', at: 5, gap: false, replay: 0}]);
	const old = it.socket();
	old.say(encode(Op.DISCONNECT, JSON.stringify({code: 4, reason: 'draining'})));
	old.wrap(numbered('chat://1', 6, 'six'), numbered('chat://1', 8, 'eight'), numbered('other://1', 1, 'not ours'));
	assert.deepEqual(it.bodies(), ['six']);
	await it.admit();
	await until(() => it.joins().length === 1);
	assert.equal(it.joins()[0].json().rooms[0].since, 6);
});

test('nobody joins or leaves the stream of the user, and each connection confirms the position in it', async t => {
	const it = await streaming(t), left = encode(Op.NOTICE, JSON.stringify({room: '', left: 'kicked'}));
	const knowing = at => JSON.stringify({...JSON.parse(KNOWS), user: {at, gap: false, replay: 0}});
	const acks = () => it.socket().said.filter(({op}) => op === Op.ACK).map(({body}) => Number(Buffer.from(body).readBigUInt64BE()));
	assert.throws(() => it.comet.join(''), TypeError);
	it.socket().wrap(left);
	it.comet.leave('');
	it.socket().end();
	await it.admit(knowing(BIG));
	it.socket().wrap(left, numbered('', BIG + 1, 'one'));
	assert.deepEqual(it.bodies(), ['one']);
	await until(() => acks().length === 1);
	it.socket().end(); // and perhaps that never came
	await it.admit(knowing(BIG + 1));
	await until(() => acks().length === 1);
	assert.deepEqual(acks(), [BIG + 1]);
	assert.deepEqual(it.named('left'), []);
});

test('a server that knows no streams refuses rooms, and serves the rest as ever', async t => {
	const it = begin(t, {streams: true});
	it.comet.connect();
	await it.admit('');
	await assert.rejects(it.comet.join('chat://1'), {code: 'refused', message: /knows no streams/});
	it.socket().push(1000, 'plain');
	assert.deepEqual(it.bodies(), ['plain']);
	it.socket().say(encode(Op.DISCONNECT, JSON.stringify({code: 4, reason: 'draining'})));
	it.socket().push(1000, 'still there');
	assert.deepEqual(it.bodies(), ['plain', 'still there']);
	assert.throws(() => begin(t).comet.join('chat://1'), TypeError);
});
